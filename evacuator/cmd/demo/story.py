"""The story, step by step: what is done, and what is said about it."""

import time
from dataclasses import dataclass

from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from evacuator.cmd.demo.judge import PROMISES, Observed, times
from evacuator.cmd.demo.site import Site
from evacuator.evacuation.transitions import UNFINISHED
from evacuator.virt.simulated import Event

SOURCE = "a"


@dataclass
class Server:
    """One of the servers that the story is about; ``evacuated_at``: when it was asked for, by this machine's clock."""

    uuid: str
    name: str
    before: str
    microversion: str
    evacuated_at: float = 0.0


class Story:
    """Tells the story about a site on a console."""

    def __init__(self, site: Site, console: Console) -> None:
        self._site = site
        self._console = console
        self._servers: list[Server] = []
        self._problems: list[str] = []
        self._began = time.monotonic()

    def tell(self) -> bool:
        """Tell all of it; False if anything was not as promised.

        :raises EvacuatorError: it could not go on.
        """
        self._make_servers()
        self._lose_the_host()
        self._evacuate()
        self._show()
        self._host_returns()
        self._owner_starts()
        self._verify()
        for problem in self._problems:
            self._console.print(f"NOT OK: {problem}", style="bold red", markup=False, soft_wrap=True)
        return not self._problems

    def _say(self, sentence: str) -> None:
        line = Text(f"{time.monotonic() - self._began:5.1f} s  ", style="dim")
        self._console.print(line.append(sentence, style="default"), soft_wrap=True)

    def _check(self, problem: str, *, holds: bool) -> None:
        if not holds:
            self._problems.append(problem)

    def _make_servers(self) -> None:
        site = self._site
        self._say(f"Hosts a, b and c are up, served by one process at {site.url} with a SQLite file and no broker.")
        for microversion, before in PROMISES:
            name = f"{before.lower()}-{microversion.replace('.', '')}"
            self._servers.append(Server(site.create(name, SOURCE), name, before, microversion))
        for server in self._servers:
            if server.before == "SHUTOFF":
                site.act(server.uuid, {"os-stop": None})
            if server.before == "ERROR":
                site.act(server.uuid, {"os-resetState": {"state": "error"}})
        for server in self._servers:
            site.wait_for(server.uuid, server.before)
        self._say(f"Six servers are on host {SOURCE}: two ACTIVE, two SHUTOFF, two in ERROR.")

    def _lose_the_host(self) -> None:
        died = self._site.switch_off(SOURCE)
        self._say(f"Host {SOURCE} loses its power; {died} running guests die with it. It is forced down in the API.")
        self._site.force_down(SOURCE, down=True)

    def _evacuate(self) -> None:
        self._say("Three servers are evacuated at microversion 2.94, and three like them at 2.95 ...")
        for server in self._servers:
            server.evacuated_at = time.time()
            self._site.act(server.uuid, {"evacuate": {}}, server.microversion)
        self._site.until("all evacuations end", self._all_ended)
        self._say("... and all have ended. The hypervisors' journals say which guest was powered on since:")

    def _all_ended(self) -> bool:
        evacuations = self._site.evacuations()
        return all(evacuations[server.uuid]["status"] not in UNFINISHED for server in self._servers)

    def _power_ons(self, server: Server, since: float) -> int:
        return sum(
            entry.instance == server.uuid and entry.event is Event.POWERED_ON and entry.at >= since
            for entry in self._site.journal()
        )

    def _observe(self, server: Server) -> Observed:
        shown = self._site.server(server.uuid)
        return Observed(
            name=server.name,
            before=server.before,
            microversion=server.microversion,
            source=SOURCE,
            host=shown["OS-EXT-SRV-ATTR:host"],
            after=shown["status"],
            evacuation=self._site.evacuations()[server.uuid]["status"],
            power_ons=self._power_ons(server, server.evacuated_at),
        )

    def _show(self) -> None:
        observed = [self._observe(server) for server in self._servers]
        self._console.print(Padding(table_of(observed), (1, 0)))
        for each in observed:
            self._problems += [f"{each.name}: {problem}" for problem in each.problems]

    def _host_returns(self) -> None:
        site = self._site
        stale = site.guests(SOURCE)
        site.switch_on(SOURCE)
        site.until(f"host {SOURCE} has removed its stale guests", lambda: site.guests(SOURCE) == 0)
        site.until("the evacuations are completed", self._all_completed)
        site.until(f"host {SOURCE} may be up again", lambda: site.let_up(SOURCE))
        site.until(f"host {SOURCE} is up again", lambda: site.service(SOURCE)["state"] == "up")
        self._say(
            f"Host {SOURCE} has its power back. Before it reported up it removed its {stale} stale guests and kept the "
            "disks; the evacuations are completed."
        )
        for server in self._servers:
            power_ons = self._power_ons(server, server.evacuated_at)
            promised = 1 if PROMISES[server.microversion, server.before] == "ACTIVE" else 0
            self._check(
                f"{server.name} was powered on {times(power_ons)} by the time host {SOURCE} was back",
                holds=power_ons == promised,
            )

    def _all_completed(self) -> bool:
        return all(migration["status"] not in {*UNFINISHED, "done"} for migration in self._site.evacuations().values())

    def _owner_starts(self) -> None:
        server = next(each for each in self._servers if (each.microversion, each.before) == ("2.95", "ACTIVE"))
        since = time.time()
        self._site.act(server.uuid, {"os-start": None})
        self._site.wait_for(server.uuid, "ACTIVE")
        power_ons = self._power_ons(server, since)
        self._say(f"Its owner starts {server.name} with os-start: powered on {times(power_ons)}.")
        self._check(f"{server.name} was powered on {times(power_ons)} by os-start, not once", holds=power_ons == 1)

    def _verify(self) -> None:
        result = self._site.verify()
        for line in (result.stdout + result.stderr).splitlines():
            self._say(f"evacuator verify: {line}")
        self._check(f"evacuator verify ended with status {result.returncode}", holds=result.returncode == 0)


def table_of(observed: list[Observed]) -> Table:
    """Show what happened to each server, for a reader who looks once."""
    # Narrow enough for a terminal of 80 columns.
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    for title in ("server", "was", "asked at", "moved", "is now", "promised", "powered on", "verdict"):
        table.add_column(title, no_wrap=True)
    for each in observed:
        holds = not each.problems
        table.add_row(
            each.name,
            each.before,
            each.microversion,
            f"{each.source} -> {each.host or '?'}",
            each.after,
            each.promised,
            Text(times(each.power_ons), "bold" if each.power_ons == 0 else ""),
            Text("ok" if holds else "NOT OK", "green" if holds else "bold red"),
        )
    return table
