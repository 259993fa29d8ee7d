"""Bounds that a Setting meets: one made weaker by a slip would hold as well, and no stronger wrong theory would tell."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from derivations.common import share
from derivations.registry import CLAIMS
from derivations.tian_origin import _w0
from dynamics.simulate import flow
from dynamics.views import moments

MET: tuple[tuple[str, dict[str, Any], slice, float], ...] = (  # claim, changes of its base, entries, how near it comes
    # the predictor adds at most n ‖P‖² t = 0.25 · 0.05² · 4 to the exponent
    ("byol-no-stop-gradient-bound", {}, slice(None), 0.0025),
    ("byol-no-stop-gradient-bound", {"training__eta": 0.3}, slice(None), 0.0025),
    # along e_1, the same with n = 0.4 and the ‖P‖² of two outputs, up to 4 · 0.05²
    ("tian-no-stop-gradient", {}, slice(0, 1), 0.016),
    ("tian-no-stop-gradient", {"training__eta": 0.2}, slice(0, 1), 0.016),
    # on the parabola at p = 1.268 w0 = 1/2a the square left out is 0; at t = 0.1 it is of order t³
    ("tian-weight-decay-threshold", {"training__t_end": 0.1, "network__w0": 0.4 / _w0}, slice(None), 1e-3),
    # p² + alpha_p w² = 2 √alpha_p p w on the parabola: there the bound is the solution, to the integrator's error
    ("byol-blind-mode", {"network__start": "parabola"}, slice(None), 1e-7),
    # c and c + a x0 enclose c + a x: with x0 = 0.01 the two bounds are a x0² t = 1.1 · 0.01² · 20 of x0 apart
    ("tian-origin-half-unstable", {"network__w0": 0.01 / _w0, "network__p0": -0.01}, slice(0, 2), 2.2e-3),
)


@pytest.mark.parametrize(("name", "changes", "entries", "near"), MET)
def test_a_bound_is_met(name: str, changes: dict[str, Any], entries: slice, near: float) -> None:
    claim = CLAIMS[name]
    setting = claim.base.replace(**changes)
    assert claim.residual is not None and all(a.holds(setting) for a in claim.states)
    assert np.min(claim.residual(flow(setting))[..., entries]) > -near


def test_the_threshold_of_decay_is_that_of_views_that_commute_with_nothing() -> None:
    """κ, read back from the claim's bound e^{-(eta - κ/4) t}, is the square of the largest singular value of A^{-½} C."""
    claim = CLAIMS["tian-weight-decay-threshold"]
    views = {"views__signal": (1.0, 0.4), "views__noise": (0.1, 0.5), "views__angle": 0.5, "views__twist": 0.6}
    run = flow(claim.base.replace(**views, training__eta=0.6))
    assert claim.residual is not None
    bound = share(run)[0] - claim.residual(run)[0]
    m = moments(run.setting)
    kappa = np.linalg.svd(np.linalg.solve(np.linalg.cholesky(m.A), m.C), compute_uv=False)[0] ** 2
    np.testing.assert_allclose(
        4 * (0.6 + np.log(bound[1:]) / run.t[1:]), kappa, rtol=1e-9
    )  # rounding, over e^{-0.6 · 8}


@pytest.mark.parametrize("factor", [0.9, 1.1])
def test_on_the_ray_both_weights_are_of_one_size(factor: float) -> None:
    claim = CLAIMS["tian-origin-half-unstable"]
    run = flow(claim.base)
    apart = dataclasses.replace(run, obs={**run.obs, "W": factor * run["W"]})
    assert claim.residual is not None
    np.testing.assert_allclose(claim.residual(apart)[:, 0, 2], 0.1, atol=1e-12)  # of x(0): rounding
