"""What Linux knows of processes: the CPU time that they took and the memory that they hold, with all their children."""

import os
from dataclasses import dataclass
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Reading:
    """CPU seconds so far, and the most memory that was resident at once, in MiB."""

    cpu: float
    peak_mib: float


def read(pid: int) -> Reading:
    """Read a process and its descendants."""
    cpu = peak = 0.0
    for each in _tree(pid):
        try:
            user, system = _stat(each)[1:]
            status = Path(f"/proc/{each}/status").read_text()
        except OSError:
            continue
        cpu += (user + system) / TICKS
        peak += next((int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmHWM")), 0.0)
    return Reading(cpu, peak)


def _stat(pid: int | str) -> tuple[int, int, int]:
    """Return parent, user ticks, system ticks."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return int(fields[1]), int(fields[11]), int(fields[12])


def _tree(root: int) -> list[int]:
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                children.setdefault(_stat(entry.name)[0], []).append(int(entry.name))
            except OSError:
                continue
    found, todo = [], [root]
    while todo:
        found.append(todo.pop())
        todo += children.get(found[-1], [])
    return found


def percentile(values: list[float], share: float) -> float:
    """Return the value below which ``share`` (0 to 1) of them lie."""
    ordered = sorted(values)
    place = (len(ordered) - 1) * share
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def latency(seconds: list[float]) -> dict[str, float]:
    """Sum up how long requests took, in milliseconds."""
    return {f"p{share}_ms": round(percentile(seconds, share / 100) * 1000, 1) for share in (50, 95, 99)}
