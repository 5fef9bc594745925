"""A simulated hypervisor: guests are files, and every effect leaves a line of evidence.

Each host is a folder under ``D/hypervisors``::

    a/journal.jsonl     what was done to which guest, when and on whose behalf; only ever appended to
    a/guests/UUID.json  one guest: what it was defined as, and whether it runs
    a/disks/UUID        its disk, when disks are private; shared ones are in D/disks
    a/keys/ID           a key that the host has, while a guest is started that needs it; without its content
    a/mains             "off" while the mains are cut; no such file means on
    a/lock              held (flock) by whoever looks or works, of all processes

A guest "runs" when its file says so: it outlives every process of ours, as a real one does. Nothing is synced to the
platter: it has to survive the process, not the machine, and a benchmark evacuates hundreds of instances a second.

The journal proves which copies ran when, so it may name a run that did not come to be, but never hide one that did:

* ``powered_on`` is written *before* the guest's file says running;
* ``powered_off`` *after* it says shutdown, and until then the file itself owes the line: whoever reads the guest next,
  after a crash in between, writes it;
* ``defined`` and ``destroyed`` before the effect: a repeated call finds the effect still to be done and says so twice,
  where otherwise it would find it done and say nothing.

Two hosts that run one instance are possible here, shared disk or not. They must be: the check for it has to be able
to fail.
"""

from evacuator.virt.simulated.driver import SimulatedDriver
from evacuator.virt.simulated.journal import FOLDER, Event, JournalEntry, known_hosts, read_journal, read_journals
from evacuator.virt.simulated.machine import LOCK_SECONDS, Machine
from evacuator.virt.simulated.mains import Mains
from evacuator.virt.simulated.settings import OPERATIONS, Fault, FaultKind, SimulatedSettings, parse_faults

__all__ = [
    "FOLDER",
    "LOCK_SECONDS",
    "OPERATIONS",
    "Event",
    "Fault",
    "FaultKind",
    "JournalEntry",
    "Machine",
    "Mains",
    "SimulatedDriver",
    "SimulatedSettings",
    "known_hosts",
    "parse_faults",
    "read_journal",
    "read_journals",
]
