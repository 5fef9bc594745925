"""The request as handlers see it: who asks, at which version, with which body and parameters."""

from collections.abc import Collection, Container
from typing import Any, ClassVar
from urllib.parse import parse_qs

import falcon

from evacuator.api.errors import MalformedBody, NoSuchAction, NotInThisVersion
from evacuator.api.microversions import Behaviours
from evacuator.api.validation import Schema
from evacuator.context import RequestContext
from evacuator.errors import Invalid

#: Where a request's environment says when it may have been sent at the earliest, by the engine's clock.
BEGUN = "evacuator.begun"

#: More parameters than this are no honest question.
MOST_PARAMETERS = 100


class Request(falcon.Request):
    """A request, and what the middleware found out about it.

    ``legacy``: it came to /v2, where versions do not exist, unknown properties are dropped, and blanks around names as
    well. ``project_in_url``: the project in the address, if it has one. ``json``: the parsed body; ``has_body`` tells a
    body that is ``null`` from none.
    """

    identity: RequestContext
    behaviour: Behaviours
    request_id: str | None = None
    legacy: bool = False
    project_in_url: str | None = None
    has_body: bool = False
    json: Any = None

    @property
    def begun(self) -> float:
        """When it may have been sent at the earliest, by the engine's clock."""
        return float(self.env[BEGUN])

    @property
    def scope(self) -> str | None:
        """The project whose instances the caller sees; None for all of them."""
        return None if self.identity.is_admin else self.identity.project_id

    def require(self, served: bool) -> None:  # noqa: FBT001 - reads as a sentence
        """Answer as if the address did not exist, unless it does at this version.

        :raises NotInThisVersion:
        """
        if not served:
            raise NotInThisVersion

    def body(self, schema: Schema) -> Any:
        """Return the body once it fits ``schema``.

        :raises Invalid:
        """
        schema.check_body(self.json, legacy=self.legacy)
        return self.json

    def action(self, names: Container[str]) -> str:
        """Return the name of the one action that the body holds, which is among ``names``.

        :raises MalformedBody, NoSuchAction, NotInThisVersion: as Nova answers each kind of nonsense.
        """
        if not self.has_body or (isinstance(self.json, dict | list | str) and len(self.json) != 1):
            raise MalformedBody
        if not isinstance(self.json, dict):
            raise NotInThisVersion
        (name,) = self.json
        if name not in names:
            raise NoSuchAction(action=name)
        return str(name)

    def query(self, schema: Schema) -> "Query":
        """Return the query string's parameters once they fit ``schema``.

        :raises Invalid:
        """
        try:
            values = parse_qs(
                self.query_string, keep_blank_values=True, errors="strict", max_num_fields=MOST_PARAMETERS
            )
        except ValueError as error:
            raise Invalid(reason=f"The query string cannot be read: {error}") from error
        if any("\0" in value for many in values.values() for value in many):
            raise Invalid(reason="The query string has a null character.")
        schema.check_query(values)
        return Query(values)


class Query:
    """The parameters of a query string. Of one that is given more than once the last counts, except with ``all``."""

    def __init__(self, values: dict[str, list[str]]) -> None:
        self._values = values

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def get(self, name: str) -> str | None:
        """Return the value of a parameter, None when it is not given."""
        return self._values[name][-1] if name in self._values else None

    def all(self, name: str) -> list[str]:
        """Return all values of a parameter."""
        return self._values.get(name, [])

    def without(self, names: Collection[str]) -> "Query":
        """Return the same without some parameters."""
        return Query({name: values for name, values in self._values.items() if name not in names})

    def only(self, names: Collection[str]) -> "Query":
        """Return the same with nothing but some parameters."""
        return Query({name: values for name, values in self._values.items() if name in names})

    def items(self) -> list[tuple[str, str]]:
        """Return every parameter with every value."""
        return [(name, value) for name, values in self._values.items() for value in values]


class Resource:
    """An address. A method that it does not have does not exist there, and is answered with 404.

    ``answers_everybody``: without asking who it is. ``is_versioned``: by the microversion of the request.
    """

    answers_everybody: ClassVar[bool] = False
    is_versioned: ClassVar[bool] = True

    def peek(self, request: Request) -> None:
        """Refuse what can be refused before the caller's project is compared with the one in the address."""
