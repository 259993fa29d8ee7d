"""The rough power of compiled code against the exact one."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numba import njit

from dynamics.rough_power import HIGH, inverse_root, inverse_roots

ROUNDING = 1e-15  # of numpy's own power, a few units in the last place


@njit
def root(x: float, n: int) -> float:
    return inverse_root(x, n)


@njit
def roots(x: float, n: int, m: int) -> float:
    return inverse_roots(x, n, m)


@given(st.floats(1e-300, 1e300), st.sampled_from((2, 3, 4)), st.sampled_from((3, 4, 7)))
def test_it_is_the_power_to_the_stated_share(x: float, n: int, m: int) -> None:
    assert 1 - ROUNDING <= root(x, n) * x ** (2.0**-n) <= HIGH
    assert 1 - ROUNDING <= roots(x, n + 1, m) * x ** (2.0 ** -(n + 1) + 2.0**-m) <= HIGH


def test_the_share_is_nearly_used_up() -> None:
    """A bound that nothing comes near would not notice a worse power."""
    x = np.geomspace(1e-3, 1e3, 20_001)
    assert max(root(v, 2) * v**0.25 for v in x) > 1.07  # of HIGH = 1.078


@given(st.floats(1e-300, 1e300), st.floats(1e-300, 1e300))
def test_it_falls(x: float, y: float) -> None:
    assert root(min(x, y), 4) >= root(max(x, y), 4)


def test_powers_of_two_are_exact() -> None:
    assert [root(2.0 ** (16 * j), 4) for j in (-3, 0, 5)] == [8.0, 1.0, 2.0**-5]


def test_nothing_and_too_much_ask_for_the_largest_and_the_least_step() -> None:
    """Zero, infinity, NaN of both signs: finite numbers that the controller's clip, 0.2 to 10, turns into its two ends."""
    assert 10 < root(0.0, 4) < np.inf
    assert 10 < roots(0.0, 4, 7) < np.inf
    for x in (np.inf, np.nan, -np.nan):
        assert 0 <= root(x, 4) < 0.2 and 0 <= roots(x, 4, 7) < 0.2
