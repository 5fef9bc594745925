"""What must have held, once everything is healed and settled."""

import re
import time
from collections import Counter
from collections.abc import Iterator

from tests.chaos.clients import Ledger
from tests.services.cluster import Cluster

#: What is a note for an operator who declared a host dead and did not fence it. Here every host was fenced.
_ONLY_WHERE_NOT_FENCED = re.compile(r"\b(late-order|unfenced-copy-ran)\b.*")
_BY_MIGRATION = re.compile(r"migration (\d+) attempt \d+")


def violations(cluster: Cluster, ledger: Ledger) -> Iterator[str]:
    """Yield every broken promise as a sentence: by the database, by ``evacuator verify`` and by every journal."""
    yield from ledger.troubles
    for migration, status, destination in cluster.unfinished():
        yield f"migration {migration} never ended: it is {status}, its destination {destination}"
    recorded = {request for (request,) in cluster.sql("SELECT request_id FROM migrations")}
    for asked in ledger.accepted:
        if asked.request_id not in recorded:
            yield f"the evacuation of {asked.server} was accepted ({asked.request_id}), but there is no record of it"
    yield from _of_the_journals(cluster)
    yield from _of_the_clocks(cluster, ledger)
    verified = cluster.verify()
    if verified.returncode != 0:
        yield f"evacuator verify says {verified.returncode}:\n{verified.stdout}{verified.stderr}"
    for found in _ONLY_WHERE_NOT_FENCED.finditer(verified.stdout):
        yield f"evacuator verify forgives what only a host that was not fenced can do: {found[0]}"


def _of_the_journals(cluster: Cluster) -> Iterator[str]:
    """Read all journals: a second opinion, made of nothing but the causes that they name."""
    silent = {id_ for (id_,) in cluster.sql("SELECT id FROM migrations WHERE final_state = 'stopped'")}
    asked = {request for (request,) in cluster.sql("SELECT request_id FROM instance_actions")}
    for line in cluster.journal():
        if line["event"] != "powered_on":
            continue
        by = _BY_MIGRATION.fullmatch(line["cause"])
        if by and int(by[1]) in silent:
            yield f"{line['cause']}, which promised silence, powered {line['instance']} on, on {line['host']}"
        if not by and line["cause"] not in asked:
            yield f"{line['instance']} was powered on, on {line['host']}, and nobody asked: {line['cause']}"


def _of_the_clocks(cluster: Cluster, ledger: Ledger) -> Iterator[str]:
    """Read all journals, in which wrong clocks were put right: a host whose clock was another one stands out."""
    now = time.time()
    for host in cluster.computes:
        times = [line["at"] for line in cluster.journal(host)]
        if not all(ledger.since <= at <= now for at in times):
            yield f"the journal of {host} goes from {times[0]} to {times[-1]}, the run from {ledger.since} to {now}"


def endings(cluster: Cluster) -> Counter[str]:
    """Count how the evacuations ended."""
    found = cluster.sql("SELECT status, count(*) FROM migrations GROUP BY status")
    return Counter({str(status): int(count) for status, count in found})
