"""Residuals on Runs made up by hand: each part of one sees what it is there for, which no Run of the theory would show it."""

from __future__ import annotations

import numpy as np
import pytest

from derivations import collapse
from derivations.registry import CLAIMS
from dynamics.run import Run

CLAIM = CLAIMS["collapse-covariance"]


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
