"""What matrix flows should reach against their peers, and what they reached."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks import matrix_closed, matrix_stiff
from benchmarks.matrix_problems import EMA, POPULATION, SAMPLES

SMALL, LARGE = 2.5, 1.7  # times slower than the project: scipy's faster form as printed at d = 32, and at d >= 128
FLOWS = ("general", "commuting", EMA, POPULATION, SAMPLES)
ENSEMBLES, CLOSED, STIFF = 20.0, 30.0, 6.0


def case_and_size(row: Mapping[str, Any]) -> tuple[str, int]:
    """The two parts of a problem's name, "general d=8"."""
    case, d = row["problem"].rsplit(" d=", 1)
    return case, int(d)


@dataclass(frozen=True)
class Aim:
    """The fastest of the methods whose name holds `method` should take `least` times as long as the project, on the problems of
    a case from d = low to high."""

    says: str
    case: str
    method: str
    least: float
    low: int = 1
    high: int = 10**6

    def covers(self, row: Mapping[str, Any]) -> bool:
        """Is it about the row's problem?"""
        case, d = case_and_size(row)
        return case == self.case and self.low <= d <= self.high


AIMS = (
    *(
        aim
        for case in FLOWS
        for aim in (
            Aim(f"{case}, d = 32: as printed", case, "as printed", SMALL, 32, 32),
            Aim(f"{case}, d >= 128: as printed", case, "as printed", LARGE, 128),
        )
    ),
    Aim("ensemble, d = 8: looped", "ensemble", "looped", ENSEMBLES, 8, 8),
    *(Aim(f"{case}, lazily: scipy", case, "scipy", CLOSED) for case in matrix_closed.SPANS),
    *(Aim(f"{case}: {m}", case, m, STIFF) for case in matrix_stiff.CASES for m in ("explicit only", "scipy")),
)


def reached(rows: Sequence[Mapping[str, Any]], aim: Aim) -> str:
    """At each size the ratio to the fastest of the aim's peers; "" where there is none."""
    fastest: dict[int, float] = {}
    for r in rows:
        if "slower" in r and aim.method in r["method"] and aim.covers(r):
            d = case_and_size(r)[1]
            fastest[d] = min(r["slower"], fastest.get(d, r["slower"]))
    many = len(fastest) > 1
    said = [f"{x:.3g}x" + f" at d = {d}" * many + " (missed)" * (x < aim.least) for d, x in sorted(fastest.items())]
    return ", ".join(said)


def goals(rows: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Aim -> what was reached."""
    said = {f"{aim.says}, at least {aim.least:g}x": reached(rows, aim) for aim in AIMS}
    return {aim: x for aim, x in said.items() if x}


def aims(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Problem -> the ratio aimed at, of the problems that have one."""
    return {r["problem"]: aim.least for r in rows for aim in AIMS if aim.covers(r)}
