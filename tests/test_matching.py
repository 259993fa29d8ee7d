"""Matching of true errors: whatever the stride or the guess, the answer is that of the walk."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.matching import match, match_near

TOLERANCES = [10.0**-k for k in range(3, 12)]


@given(st.integers(0, len(TOLERANCES)), st.integers(1, 5))
def test_the_loosest_tolerance_that_reaches_the_target_is_found(first: int, stride: int) -> None:
    """`first` = 9: none does. Whatever the stride, the answer is that of the walk."""
    errors = {tol: (1.0 if i < first else 1e-9) for i, tol in enumerate(TOLERANCES)}
    found = match(errors.__getitem__, 1e-6, TOLERANCES, stride)
    assert found.tolerance == (TOLERANCES[first] if first < len(TOLERANCES) else None)
    assert found.error == (1e-9 if first < len(TOLERANCES) else 1.0)


@given(st.integers(0, len(TOLERANCES)), st.integers(0, len(TOLERANCES) - 1))
def test_a_guess_only_saves_runs(first: int, guess: int) -> None:
    """Whatever the guess, the answer is that of the walk; a right one takes two runs."""
    asked = []

    def error_at(tol: float) -> float:
        asked.append(tol)
        return 1.0 if TOLERANCES.index(tol) < first else 1e-9

    found = match_near(error_at, 1e-6, TOLERANCES, TOLERANCES[guess])
    assert found == match(error_at, 1e-6, TOLERANCES)
    asked.clear()
    match_near(error_at, 1e-6, TOLERANCES, TOLERANCES[min(first, len(TOLERANCES) - 1)])
    assert len(asked) <= 2


@pytest.mark.parametrize("error", [np.nan, np.inf])
def test_an_error_that_is_no_number_matches_nothing(error: float) -> None:
    assert match(lambda _: error, 1e-6, TOLERANCES, stride=4).tolerance is None
