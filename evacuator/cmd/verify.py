"""``evacuator verify``: reads everything, changes nothing, prints every broken invariant."""

import argparse
import shlex
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path

from oslo_config import cfg

from evacuator.cmd import state_dir
from evacuator.cmd.options import add_config_file
from evacuator.compute.rebuild import MOST_ATTEMPTS
from evacuator.conf.libvirt import host_sections
from evacuator.db import census, schema
from evacuator.db.session import Database
from evacuator.errors import NotConfigured
from evacuator.evacuation.invariants import findings
from evacuator.evacuation.invariants.codes import Finding
from evacuator.evacuation.invariants.facts import Bounds, Evidence, Site
from evacuator.virt.simulated import evidence

#: Database and hypervisors are read one after the other, and work goes on meanwhile. What is wrong only by that is
#: right at the next look, this many seconds later.
LOOKS = 3
BETWEEN_LOOKS = 0.5

#: What is said where nothing tells of any hypervisor.
BLIND = (
    "The hypervisors are not looked at: give --state-dir D, where simulated ones are, or a --config-file with "
    "[compute] driver = libvirt."
)

#: Exit statuses.
HOLDS, BROKEN, COULD_NOT_LOOK = 0, 1, 2


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Describe the command."""
    parser = subparsers.add_parser(
        "verify",
        help="check every invariant; read only",
        description="Read the whole database, and what the hypervisors have: libvirt hosts as far as they answer and "
        "the configuration says where they are, simulated ones with --state-dir. Change nothing, and print every "
        "broken invariant with its code and the next command to run. Exit status: 0 when everything holds, 1 when not, "
        "2 when it could not look.",
    )
    parser.add_argument(
        "--state-dir",
        metavar="D",
        type=Path,
        help="the database is D/evacuator.sqlite, unless one is configured; simulated hypervisors are looked at there",
    )
    parser.add_argument(
        "--host",
        metavar="H",
        help="the name of this machine in the services API, to look at it (default: [DEFAULT] host)",
    )
    add_config_file(parser)
    parser.set_defaults(run=run, failed=COULD_NOT_LOOK)


def run(args: argparse.Namespace) -> int:
    """Look, print, and say by the exit status whether everything holds."""
    conf = cfg.CONF
    if args.host:
        conf.set_override("host", args.host)
    with ExitStack() as closing:
        database = open_to_look(conf, args.state_dir)
        closing.callback(database.close)
        census.require_schema(database, upgrade_command(conf, args.state_dir))
        _require_known(conf, database, args.host)
        unseen: dict[str, str] = {}
        look = partial(_look, conf, database, _eyes(conf, database, args.state_dir, closing), unseen)
        site = look()
        wrong = confirmed(site, look)
    for finding in wrong:
        print(_lines(finding))
    for host, reason in sorted(unseen.items()):
        print(f"not looked at: host {host}: {reason}")
    print(_summary(site, wrong))
    return BROKEN if any(finding.broken for finding in wrong) else HOLDS


def _require_known(conf: cfg.ConfigOpts, database: Database, host: str | None) -> None:
    known = {*census.hosts(database), *host_sections(conf)}
    if host and host not in known:
        raise NotConfigured(reason=f"There is no host {host}. Known: {', '.join(sorted(known))}.")


def open_to_look(conf: cfg.ConfigOpts, directory: Path | None) -> Database:
    """Open the configured database, or the one that all-in-one keeps in ``directory``, and only read from it.

    :raises NotConfigured: there is none, or it does not answer.
    """
    url = conf.database.connection or (state_dir.sqlite_url(directory) if directory else None)
    if url is None:
        raise NotConfigured(
            reason="No database is configured: give --state-dir D, where all-in-one keeps its own, or a --config-file "
            "with connection in its [database] section."
        )
    return census.open_to_look(url)


def upgrade_command(conf: cfg.ConfigOpts, directory: Path | None) -> str:
    """Return the command that upgrades the schema of the database which ``open_to_look`` opens."""
    if conf.database.connection or directory is None:
        return schema.UPGRADE
    return f"{schema.UPGRADE} --database {shlex.quote(str(directory))}"


def _look(
    conf: cfg.ConfigOpts, database: Database, eyes: Callable[[], Evidence | None], unseen: dict[str, str]
) -> Site:
    """Look once; the hosts that could not be looked at are added to ``unseen``."""
    taken = census.take(database, conf.service_down_time)
    site = Site(taken, eyes(), bounds_of(conf))
    unseen.update(site.evidence.unseen if site.evidence else {})
    return site


def _eyes(
    conf: cfg.ConfigOpts, database: Database, directory: Path | None, closing: ExitStack
) -> Callable[[], Evidence | None]:
    """Return what looks at the hypervisors of this site."""
    if conf.compute.driver != "libvirt":
        if directory is None:
            print(BLIND)
            return lambda: None
        return lambda: evidence.look(directory, expected=census.hosts(database))
    try:
        from evacuator.virt.libvirt.evidence import hypervisors_of  # noqa: PLC0415 - an extra
    except ImportError as error:
        print(f"The hypervisors are not looked at: libvirt's Python bindings are missing ({error}).")
        return lambda: None
    # A host whose service was deleted may still run what it ran.
    hypervisors = hypervisors_of(conf, dict.fromkeys([*census.hosts(database), *host_sections(conf)]))
    closing.callback(hypervisors.close)
    return hypervisors.look


def bounds_of(conf: cfg.ConfigOpts) -> Bounds:
    """Derive how long things may take from the timers of the site.

    An evacuation is given to so many destinations, one after another. Each either claims it in time or loses it, and
    each may fall silent after that; what tells is the look for orphans, which comes after half as much again at most.
    Besides, one whose hypervisor gives no answer is begun so many times, whoever has it. What waits for a host that
    works on others waits for the end of each of those.
    """
    of_one = conf.compute.claim_timeout + conf.service_down_time + 1.5 * conf.compute.orphan_interval
    again_and_again = MOST_ATTEMPTS * (conf.libvirt.effect_timeout + conf.compute.sweep_interval)
    return Bounds(
        evacuation=conf.compute.max_assignments * of_one + again_and_again,
        order=again_and_again,
        power_sync=conf.service_down_time + conf.compute.power_sync_interval,
        clean=2 * conf.compute.clean_interval,
    )


def confirmed(
    first: Site, look: Callable[[], Site], sleep: Callable[[float], None] = time.sleep, looks: int = LOOKS
) -> list[Finding]:
    """Return what is wrong in ``first`` and is still wrong however often one looks again.

    What was found on a host that does not answer when looked at again stays wrong: nothing says that it was put right.
    """
    wrong = findings(first)
    for _ in range(looks - 1):
        if not wrong:
            break
        sleep(BETWEEN_LOOKS)
        again = look()
        found = {(finding.code, finding.subject) for finding in findings(again)}
        untold = _found_on_lost_hosts(first, again)
        wrong = [finding for finding in wrong if (finding.code, finding.subject) in found or finding in untold]
    return wrong


def _found_on_lost_hosts(first: Site, again: Site) -> frozenset[Finding]:
    """Return what was found in ``first`` only because of hosts that ``again`` has not seen."""
    if first.evidence is None:
        return frozenset()
    lost = first.evidence.mains.keys() - (again.evidence.mains.keys() if again.evidence else ())
    if not lost:
        return frozenset()
    return frozenset(findings(first)) - frozenset(findings(replace(first, evidence=first.evidence.without(lost))))


def _lines(finding: Finding) -> str:
    kind = "BROKEN" if finding.broken else "note"
    return f"{kind} {finding.code}: {finding.subject}: {finding.sentence}\n    next: {finding.next_command}"


def _summary(site: Site, wrong: list[Finding]) -> str:
    census_, seen = site.census, site.evidence
    live = sum(not instance.deleted for instance in census_.instances)
    looked = [
        _count(len(census_.services), "compute service"),
        _count(live, "instance"),
        _count(len(census_.records), "evacuation"),
        _count(len(census_.claims), "claim"),
    ]
    if seen is not None:
        looked += [_count(len(seen.mains), "hypervisor"), _count(len(seen.guests), "guest")]
        if seen.journal is not None:
            looked.append(_count(len(seen.journal), "journal line"))
    broken = sum(finding.broken for finding in wrong)
    result = f"{broken} broken" if broken else "every invariant holds"
    notes = len(wrong) - broken
    noted = f", {_count(notes, 'note')}" if notes else ""
    return f"Looked at {', '.join(looked)}: {result}{noted}."


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
