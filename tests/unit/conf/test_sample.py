"""The sample configuration says what can be configured today."""

import io
import re
from pathlib import Path

from oslo_config import cfg, generator

SAMPLE = Path(__file__).parents[3] / "etc" / "evacuator.conf.sample"
MADE_BY = "oslo-config-generator --config-file etc/oslo-config-generator.conf"


def generated():
    conf = cfg.ConfigOpts()
    generator.register_cli_opts(conf)
    conf(["--namespace", "evacuator", "--wrap-width", "100"], default_config_files=[], default_config_dirs=[])
    output = io.StringIO()
    generator.generate(conf, output)
    return output.getvalue()


def ours(sample):
    """Return what a sample says of our options: by section and by option, the comment with the default."""
    sections = re.split(r"^\[(.+)\]$", sample, flags=re.MULTILINE)
    said = {}
    for section, text in zip(sections[1::2], sections[2::2], strict=True):
        _, from_us, after = text.partition("#\n# From evacuator\n#\n")
        paragraphs = after.partition("\n#\n# From ")[0]
        said |= {
            (section, name): entry for entry, name in re.findall(r"((?:^#.*\n)+?#(\w+) =.*)", paragraphs, re.MULTILINE)
        }
        assert bool(from_us) == any(of == section for of, _ in said)
    return said


def test_of_our_options_it_says_what_they_say_themselves():
    expected = ours(generated())
    assert ("DEFAULT", "service_down_time") in expected
    assert ("compute", "metrics_port") in expected
    assert ours(SAMPLE.read_text()) == expected, MADE_BY
