"""Links, as clients follow them."""

from typing import Any
from urllib.parse import quote, urlencode

from evacuator.api.http import Query, Request
from evacuator.api.settings import ApiSettings


class Links:
    """Makes the links of one answer; the project is in them if it was in the request's address."""

    def __init__(self, request: Request, settings: ApiSettings) -> None:
        self._request = request
        self.root = (settings.compute_link_prefix or request.prefix).rstrip("/")
        self._version = "v2" if request.legacy else "v2.1"
        self._project = f"/{request.project_in_url}" if request.project_in_url else ""

    def self_href(self, collection: str, name: str) -> str:
        """Return where the thing is."""
        return f"{self.root}/{self._version}{self._project}/{collection}/{quote(name)}"

    def bookmark(self, collection: str, name: str) -> dict[str, str]:
        """Return the link that has no version in it."""
        return {"rel": "bookmark", "href": f"{self.root}{self._project}/{collection}/{quote(name)}"}

    def both(self, collection: str, name: str) -> list[dict[str, str]]:
        """Return the two links that a thing has."""
        return [{"rel": "self", "href": self.self_href(collection, name)}, self.bookmark(collection, name)]

    def next_page(self, query: Query, marker: str) -> list[dict[str, Any]]:
        """Return the link to what follows ``marker`` in the list that was asked for."""
        kept = [(name, value) for name, value in query.items() if name != "marker"]
        path = self._request.path
        return [{"rel": "next", "href": f"{self.root}{path}?{urlencode([*kept, ('marker', marker)])}"}]
