"""Sites for the tests: a fresh one each, or one that a module shares."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.site import Site

MakeSite = Callable[..., Site]


@pytest.fixture
def make_site(tmp_path: Path) -> Iterator[MakeSite]:
    """Make sites that are started, and killed when the test ends."""
    made: list[Site] = []

    def make(**options: Any) -> Site:
        site = Site(tmp_path / f"site{len(made)}", **options)
        made.append(site)
        site.start()
        return site

    yield make
    for site in made:
        site.kill()


@pytest.fixture
def site(make_site: MakeSite) -> Site:
    """A site of hosts a, b and c."""
    return make_site()
