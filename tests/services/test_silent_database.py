"""A database server that is gone without a word: nothing is reset, nothing answers."""

import time
from collections.abc import Iterator

import pytest
from sqlalchemy import text

from evacuator.db.session import open_database
from evacuator.errors import DatabaseUnavailable
from tests.services.network import Network
from tests.services.servers import fresh_database


@pytest.fixture
def network() -> Iterator[Network]:
    opened = Network()
    yield opened
    opened.close()


def test_who_waits_for_it_goes_on_after_a_while(network: Network) -> None:
    with fresh_database("mariadb") as url:
        link = network.link(str(url.host), url.port or 3306)
        through = url.set(host="127.0.0.1", port=link.port).render_as_string(hide_password=False)
        database = open_database(through, patience=1, max_retries=1)
        ask = lambda: database.read(lambda session: session.scalar(text("SELECT 1")))  # noqa: E731
        assert ask() == 1
        link.stall()
        begun = time.monotonic()
        with pytest.raises(DatabaseUnavailable):
            ask()
        assert time.monotonic() - begun < 15
        link.heal()
        assert ask() == 1
        database.close()
