"""One Setting of the predictor loss through `dynamics.matrix_flow`: which Settings, and what its Run says of the method."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from dynamics.run import Array
from dynamics.setting import Setting
from dynamics.solver import Solution

if TYPE_CHECKING:
    from dynamics.matrix_problem import Facts

# Inputs d from which a Setting takes this path. Below it is faster too, but so the small and short Settings of the ladder
# neither load the compiled steppers in every process nor compile them once a machine.
FAST_FROM = 8
LONG = 200.0  # flow time from which a smaller one takes it too: thousands of evaluations, each of them scipy's overhead


def covers(setting: Setting, d: int) -> bool:
    """Whether a Setting of d inputs is a flow that `matrix_flow` knows, and large or long enough.

    It knows every predictor but "optimal", and no flow without stop-gradient of an online target: there the target's
    gradient asks for three more products and for B; those keep the path of `dynamics.solver`.
    """
    o = setting.objective
    known = o.loss == "predictor" and o.predictor != "optimal" and (o.stop_gradient or o.target == "ema")
    return known and (d >= FAST_FROM or setting.training.t_end >= LONG)


def solve(
    setting: Setting,
    A: Array,
    C: Array,
    W0: Array,
    P0: Array,
    V0: Array,
    t: Array,
    levels: Sequence[float],
    atol: float,
) -> tuple[Solution, dict[str, Any]]:
    """(Solution with y = [W | P | V] (T, 1, n) and the passages of ‖W‖ / ‖W0‖ through the levels, facts) at rtol 1e-10 and atol.

    facts: method, evaluations, spectral_radius (the largest measured of the Jacobian, per unit of t; None: fewer steps
    than the first look takes), and chosen_because, the sentence that the measurement leads to.
    """
    from dynamics.matrix_flow import (
        Stepping,
        predictor_flow,
    )  # loads the compiled kernels: only for Settings that use them

    o, training = setting.objective, setting.training
    held = o.predictor == "none"  # P stays as it is
    eta_p = training.eta if training.eta_p is None else training.eta_p
    run = predictor_flow(
        W0, P0, A, C, t, V0=V0 if o.target == "ema" else None, alpha_p=0.0 if held else training.alpha_p, eta=training.eta,
        eta_p=0.0 if held else eta_p, beta=training.beta, symmetric=o.predictor == "symmetric", levels=tuple(levels),
        stepping=Stepping(atol=atol),
    )  # fmt: skip
    W, P, V = run.W, run.P, run.V
    assert P is not None  # this flow has a predictor
    y = np.concatenate([X.reshape(len(t), -1) for X in (W, P, V)], axis=1)[:, None]
    made = run.facts
    passages = made.passages[0] if len(levels) else ()
    times = tuple((None if np.isnan(when) else float(when),) for when in passages)
    evaluations, rho = int(made.evaluations.sum()), float(made.spectral_radius.max())
    facts = {"method": made.method, "evaluations": evaluations, "spectral_radius": rho or None}
    return Solution(y, times, made.method, evaluations), facts | {"chosen_because": _reason(rho, made, t)}


def _reason(rho: float, made: Facts, t: Array) -> str:
    steps, stable, span = int(made.steps.sum()), int(made.stabilised_steps.sum()), t[-1] - t[0]
    if stable:
        return (
            f"from t = {made.switched_at.min():.3g} on stability (rho = {rho:.3g}), not error, held the explicit step: RKL4 "
            f"was tried, and made {stable} of {steps} steps, DOP853 the rest, where it took fewer evaluations"
        )
    measured = (
        f"error, not stability, held the step (rho = {rho:.3g} at most)"
        if rho
        else "it ended before the first look at rho"
    )
    return f"explicit: {measured}; {steps} steps over t = {span:g}"
