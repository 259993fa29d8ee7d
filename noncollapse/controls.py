"""Controls: where a residual must fail, or where a corrected one must pass. A check that cannot fail is no check."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from derivations.claim import Claim
from derivations.registry import CLAIMS
from dynamics.run import Run
from dynamics.setting import Setting
from noncollapse.budget import Budget
from noncollapse.judge import Control
from noncollapse.rungs import Reading, judge_run, make_run, read, settings_along

# Settings on which every control is taken. Degenerate ones (S = 0, W = 0, one mode) satisfy any theory: a wrong theory that
# passes at all of these is asked at the others that the search tried, until it fails
WITNESSES = 8
NOISE_REPLICAS = 64  # a bound passes on one noisy number half the time; on 64 of them with probability 2^-64


def controls_of(
    claim: Claim, ladder: Sequence[str], holds: Sequence[Setting], counter: Setting | None, budget: Budget
) -> list[Control]:
    """Where the claim holds, noise and every mutant must fail on some Setting of `holds`. Where it never does, its
    correction must pass at the counterexample: a check that always fails is no check either."""
    if not holds:
        return _correction_passes(claim, ladder, counter, budget)

    def runs(setting: Setting) -> list[Run]:
        return [make_run(x, ladder[0]) for x in settings_along(claim, setting)]

    def noise(setting: Setting) -> list[Run]:
        return [_many(run).noise(i) for i, run in enumerate(runs(setting))]

    def tells(setting: Setting) -> bool:
        """The claim itself passes there by the law that judges the control: at a Setting whose limit is still on its way
        every theory fails, a right one too."""
        return judge_run(claim, setting, runs(setting)).ok

    if not any(map(tells, holds)):
        return []
    out = [_control(claim, filter(tells, holds), noise, None, "noise in place of the Run")]
    for wrong, mutant in claim.mutants.items():
        out.append(_control(claim, filter(tells, holds), runs, mutant, f"wrong theory: {wrong}"))
    return out


def _control(
    claim: Claim, holds: Iterable[Setting], runs: Callable[[Setting], Sequence[Run]], residual: Any, name: str
) -> Control:
    """The worst of the first WITNESSES; where that passes, of all up to the first on which it fails."""
    readings: list[Reading] = []
    for setting in holds:
        if len(readings) >= WITNESSES and not all(r.ok for r in readings):
            break
        readings.append(judge_run(claim, setting, runs(setting), residual))
    worst = max(readings, key=lambda r: r.residual / r.tolerance)
    return Control(name, worst.residual, worst.tolerance, not worst.ok, not worst.ok)


def _correction_passes(claim: Claim, ladder: Sequence[str], counter: Setting | None, budget: Budget) -> list[Control]:
    """The corrected claim's residual at the counterexample, and the claim's own where it should hold: both must pass."""
    out = []
    corrected = CLAIMS.get(claim.corrected_by or "")
    if (
        corrected is not None
        and counter is not None
        and corrected.along == claim.along
        and _speaks_of(corrected, counter)
    ):
        reading = read(corrected, counter, ladder[0], budget.replicas)
        out.append(_passing(f"the corrected claim {corrected.id} at the counterexample", reading))
    if claim.holds_at is not None:
        out.append(_passing("a Setting outside its domain where it holds", read(claim, claim.holds_at, ladder[0], 1)))
    return out


def _speaks_of(claim: Claim, setting: Setting) -> bool:
    return all(a.holds(setting) for a in (*claim.states, *claim.needs))


def _passing(name: str, reading: Reading) -> Control:
    return Control(name, reading.residual, reading.tolerance, not reading.ok, reading.ok)


def _many(run: Run) -> Run:
    obs = {k: np.broadcast_to(v[:1], (NOISE_REPLICAS, *v.shape[1:])) for k, v in run.obs.items()}
    return dataclasses.replace(run, obs=obs)
