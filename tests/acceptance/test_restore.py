"""A backup that is older than where guests are, restored as ``docs/operating.md`` says."""

import re
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

from tests.acceptance.conftest import MakeSite
from tests.acceptance.site import Site, until

GUIDE = Path(__file__).parents[2] / "docs" / "operating.md"
_HEADING = "## Back up and restore"


def statements_of(site: Site) -> list[str]:
    """Return the statements that ``verify`` prints."""
    return re.findall(r"next: ((?:INSERT|UPDATE|DELETE) .*)", site.verify().stdout)


def broken(site: Site) -> set[str]:
    """Return the codes of what ``verify`` finds."""
    return set(re.findall(r"^BROKEN ([a-z-]+)", site.verify().stdout, re.MULTILINE))


def move(site: Site, server: str, source: str, destination: str) -> None:
    """Evacuate a server that runs."""
    site.mains(source, "off")
    assert site.force_down(source).status == 200
    assert site.action(server, {"evacuate": {"host": destination}}, "2.94").status == 200
    site.settled(server)


def come_back(site: Site, host: str) -> None:
    """Let a host that was fenced and forced down return, and clean."""
    site.mains(host, "on")
    until(lambda: site.force_down(host, forced=False).status == 200, 30, f"{host} to clean")
    until(lambda: site.service(host)["state"] == "up", 30, f"{host} to be up")


def test_the_only_copy_outlives_a_backup_that_says_that_it_is_elsewhere(make_site: MakeSite, tmp_path: Path) -> None:
    section = GUIDE.read_text().partition(_HEADING)[2].partition("\n## ")[0]
    statements = re.findall(r"`(UPDATE [^`]*)`", section)
    assert len(statements) == 2
    site = make_site(hosts="a,b")
    file, backup = site.state_dir / "evacuator.sqlite", tmp_path / "backup.sqlite"
    server = site.create("a")
    site.settled(server)
    move(site, server, "a", "b")
    with closing(sqlite3.connect(file)) as original, closing(sqlite3.connect(backup)) as copy:
        original.backup(copy)
    come_back(site, "a")
    move(site, server, "b", "a")
    come_back(site, "b")
    assert site.stop() == 0
    for each in site.state_dir.glob("evacuator.sqlite*"):
        each.unlink()
    shutil.copy(backup, file)

    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement.replace("HOST", "a").replace("UUID", server))
        for _round in ("claims", "totals"):
            for statement in statements_of(site):
                connection.execute(statement)
    assert statements_of(site) == []
    before = site.journal(server=server)
    site.start()
    for host in "ab":
        come_back(site, host)

    shown = site.show(server)
    assert (shown["OS-EXT-SRV-ATTR:host"], shown["status"]) == ("a", "ACTIVE")
    assert site.journal(server=server) == before
    # Simulated hypervisors remember what the database knows nothing of any more; libvirt's have no memory.
    assert broken(site) == {"power-on-unordered"}
