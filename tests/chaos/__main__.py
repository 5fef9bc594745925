"""``python -m tests.chaos [--duration S] [--seed N]``: maltreat a cloud, then see whether it kept its promises."""

import argparse
import logging
import random
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest
from oslo_config import cfg

from evacuator.conf import opts
from evacuator.context import RequestContext
from evacuator.db import instances, migrations
from evacuator.rpc.client import ComputeClient
from evacuator.rpc.outbox import Outbox
from evacuator.rpc.transport import open_transport
from evacuator.virt.simulated import FOLDER
from tests.acceptance.processes import executed
from tests.chaos import judge
from tests.chaos.clients import MISCHIEF, Client, Ledger
from tests.chaos.faults import FAULTS, RETURNS, Stage
from tests.chaos.fences import Fences
from tests.services.clocks import HOUR, Clocks, put_right
from tests.services.cluster import QUORUM, Cluster
from tests.services.servers import fresh_database, fresh_vhost

HOSTS = "abcd"
SERVERS = 120
CLIENTS = 6
#: Seconds between the beginnings of two faults, on average.
PACE = 1.0
#: What a run has to have seen for each second that was asked for, besides each kind once; on a busy machine it goes on
#: until it has, up to so many times as long, and has failed then.
FAULTS_A_SECOND, EVACUATIONS_A_SECOND, LONGEST = 300 / 600, 1000 / 600, 2.5
#: While each kind has its turn, a host dies as the first of each so many.
DEATHS_EVERY = 5
SETTLE_SECONDS = 150.0
#: Whose clock is wrong all the time, and by how many seconds.
AHEAD = {"a": HOUR, "b": -HOUR, "api1": HOUR}


def main() -> int:
    """Run, report, and say by the exit status whether every promise was kept, and that by a run that could tell."""
    options = _options()
    # The harness itself sends messages; that the broker is maltreated is no news.
    logging.disable(logging.CRITICAL)
    print(f"seed {options.seed}, {options.duration:g} s, {options.database} and RabbitMQ", flush=True)
    folder = Path(tempfile.mkdtemp(prefix="evacuator-chaos-"))
    with ExitStack() as closing:
        try:
            database = closing.enter_context(fresh_database(options.database))
            broker = closing.enter_context(fresh_vhost())
            clocks = Clocks(folder)
        except (pytest.skip.Exception, pytest.fail.Exception) as missing:
            print(missing, file=sys.stderr)
            return 2
        cluster = Cluster(folder, database, broker, hosts=HOSTS, more=MORE)
        closing.callback(cluster.kill)
        for process in cluster.processes:
            process.launch = executed
            if process.name in AHEAD:
                process.environment = clocks.ahead(AHEAD[process.name])
        wrong = _run(cluster, options)
    if wrong or options.keep:
        print(f"everything that was logged is in {folder}")
    else:
        shutil.rmtree(folder)
    return 1 if wrong else 0


MORE = f"""
[compute]
max_concurrent_evacuations = 4
{QUORUM}
"""


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--duration", type=float, default=90, metavar="S", help="seconds of chaos (%(default)s)")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6), help="repeats the choices")
    parser.add_argument("--database", choices=["mariadb", "postgresql"], default="mariadb")
    parser.add_argument("--keep", action="store_true", help="keep logs and journals also when all went well")
    return parser.parse_args()


def _run(cluster: Cluster, options: argparse.Namespace) -> list[str]:
    cluster.start()
    ledger = Ledger()
    made = [cluster.create(HOSTS[number % len(HOSTS)], f"server-{number}") for number in range(SERVERS)]
    cluster.settled(*made, seconds=60)
    ledger.servers.update(made)
    stopping = threading.Event()
    resend = _resender(cluster, options.seed)
    stage = Stage(cluster, Fences(), random.Random(options.seed), stopping, resend, min(60, options.duration / 10))
    clients = [Client(cluster, stage.fences, ledger, f"{options.seed}-{n}", stopping) for n in range(CLIENTS)]
    for client in clients:
        client.start()
    began = time.monotonic()

    def enough() -> bool:
        lasted = time.monotonic() - began
        return lasted > LONGEST * options.duration or (
            lasted > options.duration and not _lacking(stage, ledger, options.duration)
        )

    happening = _torment(stage, enough)
    stopping.set()
    lasted = time.monotonic() - began
    for thread in [*clients, *happening]:
        thread.join(90)
    settled = _heal(cluster)
    lacking = _lacking(stage, ledger, options.duration)
    broken = [*settled, *judge.violations(cluster, ledger)]
    _report(cluster, stage, ledger, lasted)
    _conclude(lacking, broken)
    return lacking + broken


def _torment(stage: Stage, enough: Callable[[], bool]) -> list[threading.Thread]:
    """Have everything go wrong at least once, and then at random; return what is still going on."""
    due = list(FAULTS)
    stage.random.shuffle(due)
    # While the first host is being evacuated: later there are never enough processes that nothing else happens to.
    due.remove("everything restarted")
    due.insert(0, "everything restarted")
    # Nothing is evacuated unless a host is dead.
    for place in range(0, len(due), DEATHS_EVERY):
        due.insert(place, "host dies")
    weights = {name: weight for name, (_fault, weight) in FAULTS.items() if weight}
    happening: list[threading.Thread] = []
    while not enough():
        happening = [thread for thread in happening if thread.is_alive()]
        chosen = due.pop(0) if due else stage.random.choices(list(weights), list(weights.values()))[0]
        thread = threading.Thread(target=_happen, args=(stage, chosen, due), name=chosen, daemon=True)
        thread.start()
        happening.append(thread)
        time.sleep(stage.random.uniform(0.5 * PACE, 1.5 * PACE))
    return happening


def _happen(stage: Stage, name: str, due: list[str]) -> None:
    fault, _weight = FAULTS[name]
    try:
        happened = fault(stage)
    except Exception as error:  # noqa: BLE001 - a fault that could not be undone is told, and healed in the end
        stage.troubles.append(f"{name}: {error!r}")
        # How far it came is not known: it does not count.
        happened = False
    with stage.guard:
        stage.counts[name] += happened
    if not happened and not stage.stopping.is_set() and not stage.counts[name]:
        due.append(name)


def _resender(cluster: Cluster, seed: int) -> Callable[[], int]:
    """Make a way to send messages of old and of current evacuations once more."""
    conf, rng = cfg.CONF, random.Random(f"{seed}-messages")
    opts.register_all(conf)
    file = cluster.folder / "messages.conf"
    file.write_text(f"[DEFAULT]\ntransport_url = {cluster.broker_url.render_as_string(hide_password=False)}\n")
    conf([], project="evacuator", default_config_files=[str(file)])
    outbox = Outbox()
    client = ComputeClient(open_transport(conf), outbox)
    context = RequestContext.of_service("chaos")

    def resend() -> int:
        found = cluster.sql("SELECT id FROM migrations ORDER BY id DESC LIMIT 30")
        chosen = rng.sample([row[0] for row in found], min(8, len(found)))
        for migration_id in chosen:
            record = cluster.database.read(lambda session, id_=migration_id: migrations.get(session, id_))
            if record is None:
                continue
            instance = cluster.database.read(lambda session, uuid=record.instance_uuid: instances.find(session, uuid))
            if instance is None or record.dest_compute is None:
                continue
            if rng.random() < 0.3:
                record.dest_compute = rng.choice(HOSTS)
            record.attempt = max(1, record.attempt - rng.choice((0, 0, 1)))
            for _ in range(2):
                client.rebuild_instance(context, record, instance, rng.choice((1, 2)))
        return len(chosen)

    return resend


def _heal(cluster: Cluster) -> list[str]:
    try:
        cluster.recover()
        cluster.settled_down(SETTLE_SECONDS)
        # What was started or stopped behind the database's back is seen at the next looks at power states.
        time.sleep(12)
    except AssertionError as error:
        return [f"it did not settle: {error}"]
    finally:
        for host in cluster.computes.keys() & AHEAD.keys():
            put_right(cluster.state_dir / FOLDER, host, AHEAD[host])
    return []


def _lacking(stage: Stage, ledger: Ledger, duration: float) -> list[str]:
    """Say what a run of so many seconds has to have seen and has not."""
    seen = {
        "faults happened": (sum(stage.counts.values()), FAULTS_A_SECOND),
        "evacuations were accepted": (len(ledger.accepted), EVACUATIONS_A_SECOND),
    }
    kinds = [
        *((name, stage.counts[name]) for name in FAULTS),
        *((f"source returns to {status}", stage.returns[status]) for status in RETURNS),
        *((name, ledger.mischief[name]) for name in MISCHIEF),
    ]
    return [
        *(
            f"{count} {what}: {duration:g} s have to see {int(a_second * duration)}"
            for what, (count, a_second) in seen.items()
            if count < int(a_second * duration)
        ),
        *(f"{name!r} never happened" for name, count in kinds if not count),
    ]


def _report(cluster: Cluster, stage: Stage, ledger: Ledger, lasted: float) -> None:
    ends = judge.endings(cluster)
    happened = sum(stage.counts.values())
    print(
        f"\n{lasted:.0f} s of chaos; {happened} faults, and {len(stage.troubles)} that may not have come to their end:"
    )
    for name in FAULTS:
        print(f"  {stage.counts[name]:5} {name}")
    print("hosts that came back to evacuations from them that were:")
    for status in RETURNS:
        print(f"  {stage.returns[status]:5} {status}")
    print("what people did to evacuations:")
    for name in MISCHIEF:
        print(f"  {ledger.mischief[name]:5} {name}")
    print("clocks that were wrong: " + ", ".join(f"{name} by {ahead:+} s" for name, ahead in AHEAD.items()))
    print(
        f"{len(ledger.accepted)} evacuations accepted (of {len(ledger.asked)} asked for), {sum(ends.values())} records:"
    )
    for status, count in sorted(ends.items()):
        print(f"  {count:5} {status}")
    print("what else clients saw:")
    for what, count in sorted(ledger.answers.items()):
        print(f"  {count:5} {what}")
    journal = cluster.journal()
    starts = sum(line["event"] == "powered_on" for line in journal)
    print(f"{len(journal)} journal lines, {starts} power-ons")
    for trouble in stage.troubles:
        print(f"trouble of the harness: {trouble[:300]} ... {trouble[-1500:]}" if len(trouble) > 2000 else trouble)


def _conclude(lacking: list[str], broken: list[str]) -> None:
    for sentence in lacking:
        print(f"TOO LITTLE: {sentence}")
    for sentence in broken:
        print(f"BROKEN: {sentence}")
    if broken:
        print(f"{len(broken)} broken")
    elif lacking:
        print("no promise was broken, but the run saw too little")
    else:
        print("every promise was kept, and no power-on is unaccounted for")


if __name__ == "__main__":
    sys.exit(main())
