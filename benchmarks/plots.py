"""The curves as pictures."""

import json
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
from matplotlib import pyplot as plt

from benchmarks.growth import TURNS_A_MINUTE


def growth(found: dict[str, Any], path: Path) -> None:
    """Draw how long requests take, and how many evacuations there are a second, by the size of the database."""
    sizes = [value for value in found.values() if isinstance(value, dict) and "instances" in value]
    across = [size["instances"] for size in sizes]
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4))
    left.plot(across, [size["evacuation"]["post"]["p50_ms"] for size in sizes], "o-", label="POST evacuate")
    for name in ("get detail", "get detail of a host", "get one server", "get migrations"):
        left.plot(across, [size[name]["p50_ms"] for size in sizes], "o-", label=name)
    left.set(xscale="log", xlabel="instances in the database", ylabel="median, ms", title="Requests", ylim=(0, None))
    left.legend()
    for name in TURNS_A_MINUTE:
        right.plot(across, [size["timers"][name]["database_cpu_ms"] for size in sizes], "o-", label=name)
    right.set(
        xscale="log",
        xlabel="instances in the database",
        ylabel="CPU of the database, ms",
        title="One turn of a host's timer",
        ylim=(0, None),
    )
    right.legend()
    figure.tight_layout()
    figure.savefig(path, dpi=100)


def clients(found: dict[str, Any], path: Path) -> None:
    """Draw rate and latency by how many clients ask at once."""
    points = sorted(found["clients"].values(), key=lambda point: point["clients"])
    across = [point["clients"] for point in points]
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4))
    left.plot(across, [point["evacuations_per_s"] for point in points], "o-")
    left.set(xlabel="clients at once", ylabel="evacuations a second", ylim=(0, None))
    for share in ("p50_ms", "p95_ms", "p99_ms"):
        right.plot(across, [point["post"][share] for point in points], "o-", label=share.replace("_ms", ""))
    right.set(xlabel="clients at once", ylabel="POST, ms", ylim=(0, None))
    right.legend()
    figure.tight_layout()
    figure.savefig(path, dpi=100)


DRAWN = {"growth": growth, "clients": clients}


def draw(folder: Path, what: str) -> None:
    """Draw the curves of what was measured, where it has any."""
    if what in DRAWN:
        DRAWN[what](json.loads((folder / f"{what}.json").read_text()), folder / f"{what}.png")
