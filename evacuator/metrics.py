"""What is counted while a process works, for Prometheus; ``docs/from-one-to-many.md`` says what each is good for.

Every process counts what it does itself; their sum is what happened.
"""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from evacuator.errors import EvacuatorError

REGISTRY = CollectorRegistry()

#: What a page of metrics is sent as.
CONTENT_TYPE = CONTENT_TYPE_LATEST

#: From a few milliseconds, which a database takes, to the minutes that a busy hypervisor may.
SECONDS = (0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)

TRANSITIONS = Counter(
    "evacuator_transitions",
    "Steps of evacuations, by what happened (accept, claim, reclaim, reassign, finish, clean, fail, no-host). Reclaim "
    "and reassign are retries.",
    ["step"],
    registry=REGISTRY,
)
EVACUATIONS = Counter(
    "evacuator_evacuations",
    "Evacuations that ended here, by outcome: done, failed, error.",
    ["outcome"],
    registry=REGISTRY,
)
PHASES = Histogram(
    "evacuator_phase_seconds",
    "How long each phase of an evacuation took: accept, define, power_on, and attempt, from its last claim to its end.",
    ["phase"],
    buckets=SECONDS,
    registry=REGISTRY,
)
REPEATED = Counter(
    "evacuator_transactions_repeated",
    "Transactions that were begun again after a deadlock or a lost connection.",
    registry=REGISTRY,
)
REFUSED = Counter(
    "evacuator_evacuations_refused",
    "Evacuations that were refused, by error; ComputesTooOld and UnsupportedRpcVersion are the gate of 2.95.",
    ["error"],
    registry=REGISTRY,
)
WAKEUPS_LOST = Counter(
    "evacuator_wakeups_lost",
    "Messages to compute managers that were dropped, the broker being away, say. What they were about is found later.",
    registry=REGISTRY,
)
QUEUED = Gauge(
    "evacuator_queue_length",
    "What waits in this process: outbox (messages), notifications, or the workers of a host.",
    ["queue"],
    registry=REGISTRY,
)
UNFINISHED = Gauge(
    "evacuator_evacuations_unfinished",
    "Evacuations under way in the whole site, by status.",
    ["status"],
    registry=REGISTRY,
)
HEARTBEAT_AGE = Gauge(
    "evacuator_heartbeat_age_seconds",
    "Seconds since each compute service was heard last, by the database's clock.",
    ["host"],
    registry=REGISTRY,
)
UP = Gauge("evacuator_compute_up", "Whether each compute service is up: 1 or 0.", ["host"], registry=REGISTRY)

#: Held over a page of the whole site: another one would take out of it what has just been put in.
_ONE_PAGE = threading.Lock()

#: What each of these can count. All of it is shown from the beginning, as 0: in Prometheus a counter that first appears
#: as 1 has not increased, and the first failure is the one to hear of.
KNOWN: Mapping[Counter | Histogram, Sequence[str]] = {
    PHASES: ("accept", "define", "power_on", "attempt"),
    TRANSITIONS: ("accept", "claim", "reclaim", "reassign", "finish", "clean", "no-host", "fail"),
    EVACUATIONS: ("done", "failed", "error"),
    REFUSED: (
        "ComputeHostNotFound",
        "ComputesTooOld",
        "DatabaseRefuses",
        "DatabaseUnavailable",
        "EvacuationInProgress",
        "ForceWithoutHost",
        "InstanceChanged",
        "InstanceInvalidState",
        "InstanceIsBeingDeleted",
        "InstanceNotFound",
        "InstanceNotReady",
        "PasswordOnSharedStorage",
        "PolicyForbids",
        "RequestTooOld",
        "SameHost",
        "SourceInUse",
        "UnsupportedRpcVersion",
    ),
}
for _metric, _labels in KNOWN.items():
    for _label in _labels:
        _metric.labels(_label)


@contextmanager
def phase(name: str) -> Iterator[None]:
    """Measure a phase of an evacuation; one that fails counts, too."""
    with PHASES.labels(name).time():
        yield


@contextmanager
def refusals() -> Iterator[None]:
    """Count whatever is raised on purpose as a refused evacuation."""
    try:
        yield
    except EvacuatorError as refusal:
        REFUSED.labels(type(refusal).__name__).inc()
        raise


def queue(name: str, length: Callable[[], int]) -> None:
    """Show the length of a queue of this process, asked whenever somebody looks."""
    QUEUED.labels(name).set_function(length)


def heard(host: str, clock: Callable[[], float]) -> None:
    """Show the age of a heartbeat that was taken now."""
    at = clock()
    HEARTBEAT_AGE.labels(host).set_function(lambda: clock() - at)


def page() -> bytes:
    """Return everything as Prometheus reads it."""
    return generate_latest(REGISTRY)


def page_of_site(unfinished: Mapping[str, int], ages: Mapping[str, float], ups: Mapping[str, bool]) -> bytes:
    """Return everything, with what the database says of the site now.

    That is how many evacuations have which status, and of each host its heartbeat's age and whether it is up.
    """
    with _ONE_PAGE:
        for gauge, values in ((UNFINISHED, unfinished), (HEARTBEAT_AGE, ages), (UP, ups)):
            gauge.clear()
            for label, value in values.items():
                gauge.labels(label).set(value)
        return page()
