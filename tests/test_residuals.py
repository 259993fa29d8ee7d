"""Residuals on Runs made up by hand: each part of one sees what it is there for, which no Run of the theory would show it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from derivations import byol_limits, collapse, contrastive, invariance_distances
from derivations.registry import CLAIMS
from dynamics.run import Run
from dynamics.setting import GaussianViews, Setting
from dynamics.views import moments

CLAIM = CLAIMS["collapse-covariance"]
ROUNDING = 1e-14  # of a few products of numbers of order 1


def halving(setting: Setting, **first: float | list[float]) -> Run:
    """A Run of two times: the given rows (1, ·), and half of them."""
    halves = np.array([1.0, 0.5])[None, :, None, None]
    obs = {name: halves * np.atleast_1d(row)[None, None, None, :] for name, row in first.items()}
    return Run(setting, "flow", np.array([2.0, 4.0]), obs)


@pytest.mark.parametrize(
    ("eigenvalues", "trace", "outside"),
    [((0.75, 0.25), 0.0, 0.0), ((1.5, -0.5), 0.0, 0.5), ((2.0, 0.5), 1.5, 1.0), ((0.25, 0.25), -0.5, 0.0)],
)
def test_a_covariance_is_held_to_the_spread_and_each_eigenvalue_to_its_range(
    eigenvalues: tuple[float, float], trace: float, outside: float
) -> None:
    """z = ±e_1: E‖z - E z‖² = 1. The trace less that, and how far an eigenvalue leaves [0, 1]."""
    z = np.array([[1.0, 0.0], [-1.0, 0.0]])[None, None]
    obs = {"z": z, "covariance": np.diag(eigenvalues)[None, None]}
    np.testing.assert_array_equal(collapse.covariance(Run(CLAIM.base, "exact", np.zeros(1), obs)), [[[trace, outside]]])


@pytest.mark.parametrize(("start", "violation"), [("generic", -0.25), ("zero", 0.25)])
def test_a_constant_map_must_reach_the_minimum_and_another_must_not_pass_it(start: str, violation: float) -> None:
    setting = CLAIMS["naive-global-minimum"].base.replace(network__start=start)
    run = Run(setting, "exact", np.zeros(1), {"loss": np.full((1, 1), 0.25)})
    np.testing.assert_array_equal(collapse.minimum(run), [[violation]])


def test_the_rates_of_spread_and_of_pairs_are_derivatives() -> None:
    """A = diag(1.25, 0.75) and S = ½I; at W = (1, 2) and dW = (3, -1), over the sizes at the larger of two times."""
    run = halving(Setting(GaussianViews((1.0, 0.5), (0.25, 0.25))), W=[1.0, 2.0], dW=[3.0, -1.0])
    spread, pairs = invariance_distances.spread_rate(run), invariance_distances.pair_rate(run)[..., 0]
    halved = np.array([[1.0, 0.25]])  # of two factors, both halved
    np.testing.assert_allclose(spread, halved * 4.5 / 4.25, rtol=ROUNDING)  # 2 (3.75 - 1.5) over 1.25 + 3
    np.testing.assert_allclose(pairs, halved * 3.5 / 2.5, rtol=ROUNDING)  # (3 - 2) + 2 · 5/4 over 5 · ½


def test_motion_is_the_speed_in_units_of_the_largest_state() -> None:
    run = halving(Setting(), W=3.0, P=4.0, dW=0.6, dP=0.8)
    np.testing.assert_allclose(byol_limits.motion(run), [[2 * 1.0 / 5, 4 * 0.5 / 5]], rtol=ROUNDING)


def test_the_note_s_limit_is_its_formula_where_nothing_commutes() -> None:
    """At W = 0 the residual is -CᵀA⁻¹CA⁻¹ over its own size."""
    setting = Setting(GaussianViews((1.0, 0.5), (0.3, 0.2), angle=0.4, twist=0.7))
    m, run = moments(setting), halving(setting, W=[0.0, 0.0])
    formula = m.C.T @ np.linalg.solve(m.A, m.C) @ np.linalg.inv(m.A)
    found = byol_limits.gram_limit(run)[0, 0]
    np.testing.assert_allclose(found, -formula / np.linalg.norm(formula), rtol=1e-12)  # two inverses of condition 5


@pytest.mark.parametrize(("rest", "lacks"), [(lambda K: 1 / K, 0.0), (lambda K: 1 / K**2, -1.0), (lambda K: 1.0, 1.0)])
def test_the_remainder_of_info_nce_is_held_to_an_order_of_at_least_one(
    rest: Callable[[float], float], lacks: float
) -> None:
    """O(1/K) allows 1/K²; a constant is the trace of a wrong limit. z = z⁺ = e_1 makes the limit 0."""
    z = np.array([[1.0, 0.0]])[None, None]

    def run(K: int) -> Run:
        setting = contrastive.POINTS.replace(objective__negatives=K)
        obs = {"z": z, "z_plus": z, "loss": np.full((1, 1), np.log(K) + rest(K))}
        return Run(setting, "exact", np.zeros(1), obs)

    found = contrastive.order_defect(*map(run, contrastive.NEGATIVES))
    np.testing.assert_allclose(found, [[lacks]], atol=1e-10)  # rounding of log K beside 1/K² = 6e-5


@pytest.mark.parametrize(("paper", "align", "exponent"), [(False, 1.0, 0.5), (True, 0.25, 1.0)])
def test_both_limits_of_info_nce_are_those_printed(paper: bool, align: float, exponent: float) -> None:
    """z = ±e_1 and y = -z at tau = 2: E‖z - y‖² = 4; the note's weights are 1 and 1/2 tau², the paper's both 1/2 tau."""
    z = np.array([[1.0, 0.0], [-1.0, 0.0]])[None, None]
    run = Run(contrastive.POINTS.replace(objective__temperature=2.0), "exact", np.zeros(1), {"z": z, "z_plus": -z})
    expected = 4 * align + np.log((1 + np.exp(-exponent)) / 2)  # half of the pairs coincide, half lie at distance 2
    np.testing.assert_allclose(contrastive._limit(run, paper), expected, rtol=ROUNDING)
