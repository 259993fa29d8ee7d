"""What per-mode ensembles should reach against their peers, and what they reached."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from benchmarks.modes_peers import Array

MEASURES: dict[str, Callable[[Array], float]] = {  # of the members' errors -> the suffix of their columns
    "": lambda e: float(np.quantile(e, 0.99)),
    "_worst": lambda e: float(e.max()),
}
GOALS = {  # family of peers -> how many times slower than the project it should at least be
    "mild": {"scipy loop": 1000, "odeint": 300, "batched": 30, "one scipy system": 10},
    "stiff": {"odeint": 100, "any": 1},
}


def compare(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Adds to the project's rows how they stand to its largest ensemble; returns the goals with the least ratio reached."""
    reached: dict[str, Any] = {}
    for (case, goals), suffix in itertools.product(GOALS.items(), MEASURES):
        time, ratio = "us_per_trajectory" + suffix, "slower" + suffix
        timed = [r for r in rows if r["problem"] == case and time in r]
        own = [r for r in timed if r["family"] == "project"]
        for r in own:
            r[ratio] = r[time] / own[-1][time]
        for family, goal in goals.items():
            peers = [r for r in timed if r["family"] != "project" and family in (r["family"], "any")]
            if peers:
                key = f"{case}: {family}, at least {goal}x"
                said = _said(peers, ratio, goal) + (" at the worst member" if suffix else "")
                reached[key] = f"{reached[key]}; {said}" if key in reached else said
    return reached


def _said(peers: Sequence[dict[str, Any]], ratio: str, goal: float) -> str:
    """The least ratio; where some peers miss the goal, each of those and the least of the others."""
    missed = [r for r in peers if r[ratio] < goal]
    others = [r[ratio] for r in peers if r[ratio] >= goal]
    said = [f"{r[ratio]:.3g}x (missed; {r['method']} of {r['members']:,})" for r in missed]
    if others:
        said.append(f"{'others at least ' if missed else ''}{min(others):.3g}x")
    return ", ".join(said)


def within(value: float, limit: float, unit: str) -> str:
    """The value, and whether it misses the limit."""
    return f"{value:.3g} {unit}{'' if value <= limit else ' (missed)'}"
