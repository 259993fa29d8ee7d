"""One Setting of the predictor loss through `dynamics.matrix_flow`: which Settings, and what its Run says of the method."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from dynamics.run import Array
from dynamics.setting import Setting
from dynamics.stacked import Stacked

if TYPE_CHECKING:
    from dynamics.matrix_problem import Facts

# Inputs d, or flow time, from which Settings take this path. Below it is faster too, but so the small and short Settings of the
# ladder neither load the compiled steppers in every process nor compile them once a machine.
FAST_FROM = 8
LONG = 200.0  # thousands of evaluations, each of them scipy's overhead
MANY = 512  # members from which a batch pays for loading the compiled steppers, whatever its size

Start = tuple[Array, Array, Array]  # W (B, k, d), P (B, k, k), V (B, k, d)


def covers(settings: Sequence[Setting], d: int) -> bool:
    """Whether Settings of d inputs, which share objective and times, are flows that `matrix_flow` knows, and large, long or many enough.

    It knows every predictor but "optimal", which keeps the path of `dynamics.solver`.
    """
    o = settings[0].objective
    known = o.loss == "predictor" and o.predictor != "optimal"
    return known and (d >= FAST_FROM or settings[0].training.t_end >= LONG or len(settings) >= MANY)


def solve(
    problem: Stacked, start: Start, t: Array, levels: Sequence[float], atol: float
) -> list[tuple[Array, tuple[float | None, ...], dict[str, Any]]]:
    """Of every member (y = [W | P | V] (T, n), the passages of ‖W‖ / ‖W0‖ through the levels, facts), at rtol 1e-10 and atol.

    facts: method, evaluations, spectral_radius (the largest measured to 1 % of the Jacobian, per unit of t; None: it
    took too few steps, or beside others in lanes too few for another method to pay), and chosen_because, the sentence that the measurement leads to.
    """
    from dynamics.matrix_flow import (
        Stepping,
        predictor_flow,
    )  # loads the compiled kernels: only for Settings that use them

    o, B = problem.setting.objective, len(start[0])
    W0, P0, V0 = (X[0] if B == 1 else X for X in start)  # one alone may be taken apart into modes
    held = o.predictor == "none"  # P stays as it is
    run = predictor_flow(
        W0, P0, problem.A, problem.C, t, V0=V0 if o.target == "ema" else None,
        B=None if o.stop_gradient or o.target == "ema" else problem.B,
        alpha_p=0.0 if held else problem.alpha_p.ravel(), eta=problem.eta.ravel(),
        eta_p=0.0 if held else problem.eta_p.ravel(), beta=problem.beta.ravel(),
        symmetric=o.predictor == "symmetric", levels=tuple(levels), stepping=Stepping(atol=atol),
    )  # fmt: skip
    W, P, V, made = run.W, run.P, run.V, run.facts
    assert P is not None  # this flow has a predictor
    y = np.concatenate([X.reshape(B, len(t), -1) for X in (W, P, V)], axis=2)
    passages = made.passages if levels else np.empty((B, 0))
    return [
        (
            y[i],
            tuple(None if np.isnan(when) else float(when) for when in passages[i]),
            _said(made if B == 1 else made.of(i), t),
        )
        for i in range(B)
    ]


def _said(made: Facts, t: Array) -> dict[str, Any]:
    rho = float(made.spectral_radius.max())
    facts = {"method": made.method, "evaluations": int(made.evaluations.sum()), "spectral_radius": rho or None}
    return facts | {"chosen_because": _reason(rho, made, t)}


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
        else "too few steps for another method to pay"
    )
    return f"explicit: {measured}; {steps} steps over t = {span:g}"
