"""The API reference as data: what its pages say of each address, read from their source."""

import re
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path

import yaml

from evacuator.api.microversions import MAXIMUM, MINIMUM, Version

SOURCE = Path(__file__).parents[3] / "api-ref" / "source"

SECTION = re.compile(r"^(?P<title>\S[^\n]*)\n=+\n\n(?=\.\. rest_method:: )", re.MULTILINE)
METHOD = re.compile(r"\.\. rest_method:: (?P<method>\w+) (?P<path>\S+)\n(?P<options>(?:   \w+: \S+\n)*)", re.MULTILINE)
PART = re.compile(r"^(Request|Response)\n-+\n", re.MULTILINE)
PARAMETERS = re.compile(r"\.\. rest_parameters:: parameters\.yaml\n\n((?:   - .+\n)+)")
NAMED = re.compile(r"   - (?P<name>\S+): (?P<key>\S+)")
SAMPLE = re.compile(r"\.\. literalinclude:: samples/(\S+)")
CODES = re.compile(r"^(Normal|Error) response codes: ((?:.+\n)+)", re.MULTILINE)
ACTION = re.compile(r"\((\S+) action\)$")


@dataclass(frozen=True)
class Parameter:
    """A row of a table: ``name`` is its last part, without what it is in."""

    name: str
    key: str
    kind: str
    required: bool
    first: Version
    last: Version

    def exists_at(self, version):
        return self.first <= version <= self.last


@dataclass(frozen=True)
class Entry:
    """What is said of one method of one address, or of one action."""

    title: str
    method: str
    path: str
    first: Version
    last: Version
    codes: tuple[int, ...]
    errors: tuple[int, ...]
    request: tuple[Parameter, ...]
    response: tuple[Parameter, ...]
    samples: tuple[str, ...]

    @property
    def action(self):
        """The server action that it is about, if it is about one."""
        found = ACTION.search(self.title)
        return found and found[1]


@cache
def parameters():
    """Return parameters.yaml; versions stay text, since 2.10 is not 2.1."""

    class Loader(yaml.SafeLoader):
        pass

    Loader.add_constructor("tag:yaml.org,2002:float", yaml.constructor.SafeConstructor.construct_yaml_str)
    return yaml.load((SOURCE / "parameters.yaml").read_text(), Loader)


@cache
def entries():
    """Return everything that the pages say, in their order."""
    return tuple(entry for page in sorted(SOURCE.glob("*.rst")) for entry in _entries(page.read_text()))


def _entries(text):
    found = list(SECTION.finditer(text))
    bounds = pairwise([*(section.start() for section in found), len(text)])
    return [
        _entry(section["title"], text[section.end() : end]) for section, (_, end) in zip(found, bounds, strict=True)
    ]


def _entry(title, text):
    method = METHOD.match(text)
    options = dict(line.strip().split(": ") for line in method["options"].splitlines())
    parts = PART.split(text)
    about = dict(zip(parts[1::2], parts[2::2], strict=True))
    codes = {kind: tuple(int(code) for code in re.findall(r"\b\d{3}\b", told)) for kind, told in CODES.findall(text)}
    return Entry(
        title,
        method["method"],
        method["path"],
        Version.of(options.get("min_version", str(MINIMUM))),
        Version.of(options.get("max_version", str(MAXIMUM))),
        codes.get("Normal", ()),
        codes.get("Error", ()),
        _parameters(about.get("Request", "")),
        _parameters(about.get("Response", "")),
        tuple(SAMPLE.findall(text)),
    )


def _parameters(text):
    named = [row for table in PARAMETERS.findall(text) for row in NAMED.finditer(table)]
    return tuple(_parameter(row["name"].rpartition(".")[2], row["key"]) for row in named)


def _parameter(name, key):
    row = parameters()[key]
    first, last = row.get("min_version", str(MINIMUM)), row.get("max_version", str(MAXIMUM))
    return Parameter(name, key, row["in"], row["required"], Version.of(str(first)), Version.of(str(last)))
