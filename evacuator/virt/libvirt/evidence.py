"""The libvirt hosts of a site at one moment, as facts. Nothing is changed on them; nobody waits longer than told."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import libvirt
from oslo_config import cfg

from evacuator import errors
from evacuator.conf.libvirt import host_sections, of_host, says_where
from evacuator.evacuation.invariants.commands import Libvirt
from evacuator.evacuation.invariants.facts import Evidence, FoundGuest
from evacuator.virt.libvirt import domains, refusals
from evacuator.virt.libvirt.connection import Call, Connection, Timing

#: So many hosts are asked at once.
AT_ONCE = 32


@dataclass(frozen=True)
class _Found:
    """What is on one host. ``lacking``: the guests that want to find a disk there, and would not."""

    guests: Sequence[FoundGuest]
    lacking: frozenset[tuple[str, str]]


class Hypervisors:
    """Looks at hosts through ``connections``; ``unseen``: host -> why there is no way to look at it.

    A host that did not answer once is not asked again: whoever looks twice need not wait twice.
    """

    def __init__(self, connections: Sequence[Connection], unseen: Mapping[str, str]) -> None:
        self._connections = {connection.host: connection for connection in connections}
        self._unseen = dict(unseen)
        self._commands = Libvirt({connection.host: connection.uri for connection in connections})

    def look(self, clock: Callable[[], float] = time.time) -> Evidence:
        """Ask every host for its guests, all at once."""
        asked = [connection for host, connection in self._connections.items() if host not in self._unseen]
        with ThreadPoolExecutor(min(AT_ONCE, len(asked)) or 1) as pool:
            answers = dict(zip(asked, pool.map(_ask, asked), strict=True))
        found: dict[str, _Found] = {}
        for connection, answer in answers.items():
            if isinstance(answer, _Found):
                found[connection.host] = answer
            else:
                self._unseen[connection.host] = answer
        return Evidence(
            commands=self._commands,
            now=clock(),
            mains=dict.fromkeys(found, True),
            guests=[guest for each in found.values() for guest in each.guests],
            journal=None,
            disks=None,
            lacking=frozenset().union(*(each.lacking for each in found.values())),
            unseen=dict(self._unseen),
        )

    def close(self) -> None:
        """Let go of the hosts."""
        for connection in self._connections.values():
            connection.close()


def hypervisors_of(conf: cfg.ConfigOpts, hosts: Iterable[str]) -> Hypervisors:
    """Reach each of ``hosts`` of which this configuration says where it is: in its own section, or as this machine.

    Of hosts that are at one place only the first is asked: all guests there would look like two copies.
    """
    # Of a section that does not say where its host is nobody knows on which machine it means this one.
    known = {*(host for host in host_sections(conf) if says_where(conf, host)), conf.host}
    timing = Timing(conf.libvirt.call_timeout, conf.libvirt.effect_timeout)
    connections: dict[str, Connection] = {}
    unseen = {}
    for host in hosts:
        uri = of_host(conf, host, "connection_uri")
        if host not in known or not uri:
            unseen[host] = (
                f"no connection_uri in a section [host:{host}] here says where it is; write one, or run this there "
                f"with --host {host}"
            )
        elif uri in connections:
            unseen[host] = f"its connection_uri is that of host {connections[uri].host}, {uri}"
        else:
            connections[uri] = Connection(host, uri, timing)
    return Hypervisors([*connections.values()], unseen)


def _ask(connection: Connection) -> _Found | str:
    try:
        # All guests of a host may take longer than one question.
        return connection.do(lambda call: _look_at(call, connection.host))
    except errors.HypervisorUnknown as unknown:
        return str(unknown.facts["reason"])
    except libvirt.libvirtError as error:
        return str(error)


def _look_at(call: Call, host: str) -> _Found:
    guests, lacking = [], set()
    for domain, statistics in call.conn.getAllDomainStats(libvirt.VIR_DOMAIN_STATS_STATE, 0):
        known = domains.known(domain, statistics.get("state.state"))
        if known is None:
            continue
        guests.append(FoundGuest(host, known.uuid, known.running, known.marked))
        if known.marked and not known.running and _lacks_disk(domain, host):
            lacking.add((host, known.uuid))
    return _Found(guests, frozenset(lacking))


def _lacks_disk(domain: Any, host: str) -> bool:
    try:
        domains.check_disks(domain)
    except libvirt.libvirtError as error:
        if Connection.is_about_connection(error):
            raise
        return isinstance(refusals.meaning(error, host, domain.UUIDString()), errors.DiskMissing)
    return False
