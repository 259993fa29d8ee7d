"""The rungs: how each makes a Run of a Setting, and by which law its residual is judged.

exact, flow   residual <= 10³ rtol + the claim's own slack
descent       the same at some step, or an error that shrinks with the step at slope 1 ± 0.1 once the step is small enough
sgd           |mean over replicas| <= 4 standard errors + the O(lr) bias measured by halving lr + slack
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np

from derivations.claim import Claim, Residual
from dynamics.points import enumerate_points
from dynamics.run import Array, Run
from dynamics.setting import Setting
from dynamics.simulate import NoClosedForm, exact, flow
from dynamics.solver import RTOL

FLOOR = 1e3 * RTOL  # global error of the integrator: local rtol amplified over the horizons used here
SLOPE = 0.1  # a first-order method's measured order lies within 0.1 of 1 once lr is small enough
HALVINGS = 4  # of lr, at most: a next order that puts the slope off by 0.26 at lr/4 puts it off by 0.08 at lr/16
# of a residual: where over this is left by halving lr, or by four times the time, neither makes the error
UNMOVED = 0.9
STANDARD_ERRORS = 4.0
TELLING = 0.25  # of a residual of order 1: the most that may be left of a limit for its check to say anything
LATER = (4, 16, 64)  # how many horizons later a limit is asked again before it counts as refuted
LAWS = {
    "exact": "10³ rtol + slack",
    "flow": "10³ rtol + slack",
    "descent": "10³ rtol + slack, or slope in lr of 1 ± 0.1",
    "sgd": "4 standard errors + measured O(lr) bias + slack",
}


class ResidualError(ArithmeticError):
    """A residual, or the slack it is allowed, that is no such number: 0/0 must not pass for a theorem."""


class TooShort(ValueError):
    """The horizon of a Setting is too short for the claim's own law to tell a limit from anything else."""


UNASKED = (NoClosedForm, TooShort)  # raised where a rung cannot be asked at a Setting, which says nothing of the claim


@dataclass(frozen=True)
class Reading:
    """One residual judged: value against tolerance; ok under the rung's law."""

    residual: float
    tolerance: float
    ok: bool
    replicas: int = 1
    note: str = ""


@lru_cache(maxsize=8192)
def make_run(setting: Setting, rung: str, replicas: int = 1, halvings: int = 0) -> Run:
    """The Run of a Setting on a rung; `halvings` halves the step of descent and sgd that many times."""
    lr = setting.training.lr / 2**halvings
    if setting.objective.loss in ("info_nce", "nt_xent", "information"):
        if rung == "exact":
            return enumerate_points(setting)
        from full_models.point import at_point  # torch loads only where a rung needs it

        return at_point(setting)
    if rung == "exact":
        return exact(setting)
    if rung == "flow":
        return flow(setting, timed=False)
    from full_models.linear import descend, sgd

    return descend(setting, lr) if rung == "descent" else sgd(setting, replicas, lr)


def read(claim: Claim, setting: Setting, rung: str, replicas: int) -> Reading:
    """The claim's residual on one Setting and rung, judged by the rung's law.

    A limit t -> infinity is refuted only by a residual that time does not shrink. Where it fails at t_end it is still
    on its way if it passes at 4, 16 or 64 t_end, or if it falls from each of these to the next, by a tenth at least, and from
    the last but one to the last to less than half (what decays faster than t^-½ does). The last step decides: at first a limit
    that is approached like 1/t may fall more slowly, and one that settles above 0 as fast.
    Raises TooShort where t_end is too short for the claim's own law to tell a limit from anything else.
    """
    _check_tells(claim, setting)
    first = _read_once(claim, setting, rung, replicas)
    if first.ok or claim.slack is None or claim.along is not None:
        return first
    before, arrives = first.residual, False
    for factor in LATER:
        later = _read_once(claim, setting.replace(training__t_end=factor * setting.training.t_end), rung, replicas)
        if later.ok:
            arrives = True
            break
        if later.residual >= UNMOVED * before:
            return first
        before, arrives = later.residual, later.residual < before / 2
    return replace(first, ok=True, note="not there yet, but shrinking with time") if arrives else first


def can_ask(claim: Claim, setting: Setting, rung: str) -> bool:
    """Whether `read` has something to judge there: a closed form on "exact", a horizon that tells a limit."""
    try:
        _check_tells(claim, setting)
        if rung == "exact":
            for s in settings_along(claim, setting):
                make_run(s, rung)
    except UNASKED:
        return False
    return True


def _check_tells(claim: Claim, setting: Setting) -> None:
    if claim.slack is None or claim.along is not None:
        return
    rest = _slack(claim, setting)
    if not rest <= TELLING:  # written so that NaN fails too
        raise TooShort(
            f"{claim.id} speaks of t -> infinity, and at t_end = {setting.training.t_end:g} its own law leaves a residual of "
            f"{rest:.2g}: give a longer training.t_end, or a setting that is farther from where its limit changes"
        )


def _read_once(claim: Claim, setting: Setting, rung: str, replicas: int) -> Reading:
    slack = _slack(claim, setting)
    settings = settings_along(claim, setting)

    def deviation(halvings: int) -> Array:
        runs = [make_run(s, rung, replicas, halvings) for s in settings]
        return _checked(_residual(claim)(*runs), claim, setting, rung, runs[0].replicas)

    if rung in ("exact", "flow"):
        value = size(deviation(0), claim.bound)
        return Reading(value, FLOOR + slack, value <= FLOOR + slack)
    if rung == "descent":
        return _descent(lambda h: size(deviation(h), claim.bound), FLOOR + slack)
    return _sgd(deviation(0), deviation(1), FLOOR + slack, claim.bound)


def _slack(claim: Claim, setting: Setting) -> float:
    slack = claim.slack(setting) if claim.slack else 0.0
    if slack < 0:
        raise ResidualError(f"{claim.id}: its slack is {slack:.3g} at {setting.to_json()}: give a number >= 0")
    return slack


def _residual(claim: Claim) -> Residual:
    if claim.residual is None:
        raise ValueError(f"{claim.id} has no residual: it cannot be run")
    return claim.residual


def settings_along(claim: Claim, setting: Setting) -> list[Setting]:
    """The Setting itself, or for a statement on a sequence the Setting at each value of it."""
    if claim.along is None:
        return [setting]
    path, values = claim.along
    changes: list[dict[str, Any]] = [{path.replace(".", "__"): value} for value in values]
    return [setting.replace(**change) for change in changes]


def judge_run(claim: Claim, setting: Setting, runs: Sequence[Run], residual: Residual | None = None) -> Reading:
    """The residual on given Runs under the exact/flow law: controls use it on noise and on mutated theories."""
    check = residual or _residual(claim)
    tolerance = FLOOR + _slack(claim, setting)
    value = size(_checked(check(*runs), claim, setting, runs[0].source, runs[0].replicas), claim.bound)
    return Reading(value, tolerance, value <= tolerance)


def size(deviation: Array, bound: bool) -> float:
    """Largest violation: max(·, 0) of a bound, max |·| of an equality."""
    return float(max(deviation.max(), 0.0)) if bound else float(np.abs(deviation).max())


def _checked(deviation: Array, claim: Claim, setting: Setting, rung: str, replicas: int) -> Array:
    """Raises ResidualError unless it is finite real numbers (R, ...)."""
    if np.iscomplexobj(deviation):
        raise ResidualError(f"{claim.id}: the residual on {rung} is complex: give real numbers, such as its modulus")
    deviation = np.asarray(deviation, dtype=np.float64)
    if deviation.shape[:1] != (replicas,) or deviation.size == 0:
        raise ResidualError(
            f"{claim.id}: the residual on {rung} has shape {deviation.shape}: give (R, ...), here with R = {replicas} replicas "
            "in front, and at least one number"
        )
    if not np.isfinite(deviation).all():
        raise ResidualError(
            f"{claim.id}: the residual on {rung} is not finite at {setting.to_json()}: "
            "add the assumption under which it is defined"
        )
    return deviation


def _descent(error: Callable[[int], float], tolerance: float) -> Reading:
    """error(h) is the residual at lr / 2^h. Within tolerance at lr: done; else its slope between halved steps decides.

    Where halving lr once leaves the error as it is, the dearest run is spared: no slope of 1 is near. A slope that is off is
    asked again at smaller steps for as long as it comes nearer to 1: the next order of the error halves with the step, while
    another order stays where it is and an error that lr does not make takes the slope towards 0."""
    coarse = error(0)
    if coarse <= tolerance:
        return Reading(coarse, tolerance, True, note="within tolerance at lr")
    half = error(1)
    slope = float(np.log2(coarse / max(half, tolerance)))
    reading, off = Reading(half, tolerance, False, note=f"slope {slope:.3f} in lr"), abs(slope - 1)
    if half > UNMOVED * coarse:
        return reading
    for h in range(2, HALVINGS + 1):
        fine = error(h)
        if fine <= tolerance:
            return Reading(fine, tolerance, True, note=f"within tolerance at lr/{2**h}")
        slope = float(np.log2(half / fine))
        reading = Reading(fine, tolerance, abs(slope - 1) <= SLOPE, note=f"slope {slope:.3f} in lr")
        if reading.ok or abs(slope - 1) > UNMOVED * off:
            break
        half, off = fine, abs(slope - 1)
    return reading


def _sgd(coarse: Array, fine: Array, tolerance: float, bound: bool) -> Reading:
    """Mean over replicas at the halved step; the bias left there is, to first order, what halving removed."""
    R = len(fine)
    mean, bias = fine.mean(0), np.abs(coarse.mean(0) - fine.mean(0))
    error = np.sqrt(fine.var(0, ddof=1) / R + coarse.var(0, ddof=1) / R)
    allowed = STANDARD_ERRORS * error + bias + tolerance
    gap = mean if bound else np.abs(mean)
    worst = np.unravel_index(np.argmax(gap / allowed), gap.shape)
    return Reading(
        float(max(gap[worst], 0.0)), float(allowed[worst]), bool((gap <= allowed).all()), R, f"n = {R} seeds"
    )
