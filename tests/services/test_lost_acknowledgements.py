"""That a transition was ours, of whose commit nobody heard, is found out on MariaDB and PostgreSQL, too."""

import pytest

from evacuator.db import schema
from evacuator.db.session import open_database
from tests.scenarios.unheard import is_told_once
from tests.services.servers import fresh_database
from tests.world.world import a_world


@pytest.mark.parametrize("database", ["mariadb", "postgresql"])
def test_a_takeover_is_told_and_counted_once(database, caplog):
    with fresh_database(database) as place:
        url = place.render_as_string(hide_password=False)
        opened = open_database(url)
        schema.upgrade(opened)
        opened.close()
        with a_world(url=url) as world:
            is_told_once(world, "its destination dies", caplog.records)
