"""What a person types next who has to look at a hypervisor, or to act on it. Pure: nothing is run."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol


class Commands(Protocol):
    """One command for each need."""

    def stop(self, host: str, instance: str) -> str:
        """End a guest that must not run."""
        ...

    def show(self, host: str, instance: str) -> str:
        """See what a guest is."""
        ...

    def trace(self, host: str, instance: str) -> str:
        """See what became of a guest."""
        ...

    def find_disk(self, host: str, instance: str) -> str:
        """Look for a guest's disk."""
        ...

    def read_journal(self, instance: str) -> str:
        """Read what was done to an instance on every host."""
        ...


@dataclass(frozen=True)
class Simulated:
    """Simulated hypervisors are files under ``place``; there is no way to stop one guest but its host's mains."""

    place: str

    def stop(self, host: str, instance: str) -> str:  # noqa: ARG002
        """Cut the mains."""
        return f"evacuator host power-off {shlex.quote(host)} --state-dir {shlex.quote(self.place)}"

    def show(self, host: str, instance: str) -> str:
        """Print its file."""
        return f"cat {self._file(host, instance)}"

    def trace(self, host: str, instance: str) -> str:
        """Search its file."""
        return f"grep {shlex.quote(instance)} {self._file(host, instance)}"

    def find_disk(self, host: str, instance: str) -> str:  # noqa: ARG002 - it may be anywhere
        """Search every folder."""
        return f"find {shlex.quote(self.place)} -name {shlex.quote(f'*{instance}*')}"

    def read_journal(self, instance: str) -> str:
        """Search the journals."""
        return f"grep {shlex.quote(instance)} {shlex.quote(self.place)}/hypervisors/*/journal.jsonl"

    def _file(self, host: str, instance: str) -> str:
        return shlex.quote(f"{self.place}/hypervisors/{host}/guests/{instance}.json")


@dataclass(frozen=True)
class Libvirt:
    """Hypervisors that libvirt drives, each at its URI."""

    uris: Mapping[str, str]

    def stop(self, host: str, instance: str) -> str:
        """Pull the guest's plug."""
        return self._virsh(host, f"destroy {instance}")

    def show(self, host: str, instance: str) -> str:
        """Print its definition."""
        return self._virsh(host, f"dumpxml {instance}")

    def trace(self, host: str, instance: str) -> str:
        """Print what libvirt says of it."""
        return self._virsh(host, f"dominfo {instance}")

    def find_disk(self, host: str, instance: str) -> str:
        """Print where its disks should be."""
        return self._virsh(host, f"domblklist {instance} --details")

    def read_journal(self, instance: str) -> str:
        """Read the log: libvirt keeps no journal of its own."""
        return f"journalctl -u 'evacuator*' -g {instance}"

    def _virsh(self, host: str, command: str) -> str:
        return f"virsh -c {shlex.quote(self.uris[host])} {command}"
