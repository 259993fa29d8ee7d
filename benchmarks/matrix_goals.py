"""What matrix flows should reach against their peers, and what they reached."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from benchmarks import matrix_closed, matrix_stiff
from benchmarks.matrix_problems import EMA, POPULATION, SAMPLES

SMALL, LARGE = 2.5, 1.7  # times slower than the project: scipy's faster form as printed at d = 32, and at d >= 128
FLOWS = ("general", "commuting", EMA, POPULATION, SAMPLES)
ENSEMBLES, CLOSED, STIFF = 20.0, 30.0, 6.0


def size(row: dict[str, Any]) -> int:
    """d, which ends the problem's name."""
    return int(row["problem"].rsplit("=", 1)[1])


def reached(rows: Sequence[dict[str, Any]], case: str, method: str, least: float, low: int = 1, high: int = 10**6) -> str:  # fmt: skip
    """At each size from low to high the ratio to the fastest of the peers whose name holds `method`; "" where there is none."""
    fastest: dict[int, float] = {}
    for r in rows:
        named = r["problem"].startswith(f"{case} d=") and method in r["method"]
        if named and "slower" in r and low <= size(r) <= high:
            fastest[size(r)] = min(r["slower"], fastest.get(size(r), r["slower"]))
    many = len(fastest) > 1
    said = [f"{x:.3g}x" + f" at d = {d}" * many + " (missed)" * (x < least) for d, x in sorted(fastest.items())]
    return ", ".join(said)


def goals(rows: Sequence[dict[str, Any]]) -> dict[str, str]:
    """Aim -> what was reached."""
    said = {}
    for case in FLOWS:
        said[f"{case}, d = 32: as printed, at least {SMALL:g}x"] = reached(rows, case, "as printed", SMALL, 32, 32)
        said[f"{case}, d >= 128: as printed, at least {LARGE:g}x"] = reached(rows, case, "as printed", LARGE, 128)
    said[f"ensemble, d = 8: looped, at least {ENSEMBLES:g}x"] = reached(rows, "ensemble", "looped", ENSEMBLES, 8, 8)
    for case in matrix_closed.SPANS:
        said[f"{case}, lazily: scipy, at least {CLOSED:g}x"] = reached(rows, case, "scipy", CLOSED)
    for case in matrix_stiff.CASES:
        for method in ("explicit only", "scipy"):
            said[f"{case}: {method}, at least {STIFF:g}x"] = reached(rows, case, method, STIFF)
    return {aim: x for aim, x in said.items() if x}
