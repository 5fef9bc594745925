"""Checks bodies and query strings against their schemas, and says what is wrong in the words that clients know."""

import re
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property, partial
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker, ValidationError, validators
from oslo_utils import timeutils, uuidutils

from evacuator.db.patterns import compiled
from evacuator.errors import Invalid

#: What jsonschema makes of a schema; it ships no types.
Validator = Any

#: No sentence about a value is longer: the value came from outside.
LONGEST_SENTENCE = 1000


def _has_margins(text: str) -> bool:
    return text != text.strip()


#: Format -> (what is true of a string that has it, what is raised by one that has not).
CHECKS: Mapping[str, tuple[Callable[[str], bool], tuple[type[Exception], ...]]] = {
    "regex": (lambda text: compiled(text) is not None, (Invalid,)),
    "uuid": (lambda text: bool(uuidutils.is_uuid_like(text)), ()),
    # The offset of its zone may lead out of the calendar.
    "date-time": (
        lambda text: timeutils.normalize_time(timeutils.parse_isotime(text)) is not None,
        (ValueError, OverflowError),
    ),
    "name": (lambda text: text.isprintable() and not _has_margins(text), ()),
}

FORMATS = FormatChecker(formats=())
for _name, (_holds, _raised) in CHECKS.items():
    FORMATS.checks(_name, raises=_raised)(
        partial(lambda holds, value: not isinstance(value, str) or holds(value), _holds)
    )


class Schema:
    """A JSON schema, written out whole, and the checks against it."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self.document = document

    @cached_property
    def _strict(self) -> Validator:
        return Draft202012Validator(self.document, format_checker=FORMATS)

    @cached_property
    def _lenient(self) -> Validator:
        return Lenient(self.document, format_checker=FORMATS)

    def check_schema(self) -> None:
        """Say when the schema itself is none.

        :raises SchemaError:
        """
        Draft202012Validator.check_schema(self.document)

    def check_body(self, body: Any, *, legacy: bool = False) -> None:
        """Refuse a body that does not fit.

        With ``legacy`` what nobody knows is taken out of it instead, and so are the blanks around names.

        :raises Invalid:
        """
        _check(self._lenient if legacy else self._strict, body, "field/attribute")

    def check_query(self, query: Mapping[str, list[str]]) -> None:
        """Refuse a query string that does not fit; every parameter is the list of its values.

        :raises Invalid:
        """
        _check(self._strict, query, "query parameters")


def _drop_unknown(_validator: Any, allowed: Any, instance: Any, schema: Mapping[str, Any]) -> Iterator[ValidationError]:
    if allowed is False and isinstance(instance, dict):
        for name in instance.keys() - schema.get("properties", {}).keys():
            if not any(re.search(pattern, name) for pattern in schema.get("patternProperties", {})):
                del instance[name]
    return iter(())


def _strip_names(
    validator: Any, properties: Mapping[str, Any], instance: Any, schema: Mapping[str, Any]
) -> Iterator[ValidationError]:
    if isinstance(instance, dict):
        for name, kind in properties.items():
            if kind.get("format") == "name" and isinstance(instance.get(name), str):
                instance[name] = instance[name].strip()
    yield from Draft202012Validator.VALIDATORS["properties"](validator, properties, instance, schema)


Lenient = validators.extend(Draft202012Validator, {"additionalProperties": _drop_unknown, "properties": _strip_names})


def _check(validator: Validator, value: Any, kind: str) -> None:
    error = next(validator.iter_errors(value), None)
    if error is not None:
        raise Invalid(reason=_sentence(error, kind))


def _sentence(error: ValidationError, kind: str) -> str:
    if isinstance(error.cause, Invalid):
        return _short(str(error.cause))
    names = [part for part in error.absolute_path if isinstance(part, str)]
    if not names:
        return _short(error.message)
    return (
        f"Invalid input for {kind} {_short(names[-1])}. Value: {_short(str(error.instance))}. {_short(error.message)}"
    )


def _short(text: str) -> str:
    return text if len(text) <= LONGEST_SENTENCE else f"{text[:LONGEST_SENTENCE]}..."
