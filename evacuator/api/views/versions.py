"""The documents that say which versions are served."""

from typing import Any

from evacuator.api.microversions import MAXIMUM, MINIMUM

VERSIONS: dict[str, dict[str, Any]] = {
    "v2": {
        "id": "v2.0",
        "status": "DEPRECATED",
        "version": "",
        "min_version": "",
        "updated": "2025-07-04T12:00:00Z",
    },
    "v2.1": {
        "id": "v2.1",
        "status": "CURRENT",
        "version": str(MAXIMUM),
        "min_version": str(MINIMUM),
        "updated": "2013-07-23T11:33:21Z",
    },
}


def listing(root: str) -> dict[str, Any]:
    """Show all versions, with links below ``root``."""
    return {"versions": [version | {"links": [_self(f"{root}/{path}/")]} for path, version in VERSIONS.items()]}


def alone(root: str, path: str) -> dict[str, Any]:
    """Show one version."""
    described = {"rel": "describedby", "type": "text/html", "href": "http://docs.openstack.org/"}
    return {
        "version": VERSIONS[path] | {"links": [_self(f"{root}/{path}/"), described], "media-types": [_media_type(path)]}
    }


def choices(root: str, asked: str) -> dict[str, Any]:
    """Show where the address ``asked`` may be meant to be."""
    return {
        "choices": [
            {
                "id": version["id"],
                "status": version["status"],
                "links": [_self(f"{root}/{path}{asked}")],
                "media-types": [_media_type(path)],
            }
            for path, version in VERSIONS.items()
        ]
    }


def _self(href: str) -> dict[str, str]:
    return {"rel": "self", "href": href}


def _media_type(path: str) -> dict[str, str]:
    number = path.removeprefix("v")
    return {"base": "application/json", "type": f"application/vnd.openstack.compute+json;version={number}"}
