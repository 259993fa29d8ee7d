"""Compiled blocks of a softmax loss against its formula in long double."""

from __future__ import annotations

import numpy as np
import pytest
from softmax_cases import TYPES, excess, rows, safe

from full_models.losses.chunk import BLOCK, CHUNK, DEPTH
from full_models.losses.softmax_block import by_blocks


@TYPES
@pytest.mark.parametrize("spread", [0.1, 10.0, 44.0, 2000.0])  # the last is beyond both types' range of exp
@pytest.mark.parametrize("offset", [0, 7])
def test_blocks_are_the_formula(dtype: str, offset: int, spread: float) -> None:
    for d in (
        1,
        5,
        8,
        17,
        40,
        DEPTH + 3,
    ):  # below, at and beyond a line of float64; tiles and a narrow one; two sums a score
        assert excess(by_blocks, 2 * CHUNK + 13, d, dtype, spread, offset) <= 1, d


@TYPES
def test_every_number_of_rows(dtype: str) -> None:
    """Around a tile, a chunk of keys and a block of rows, which all end somewhere else."""
    R = BLOCK // np.dtype(dtype).itemsize
    sizes = [*range(1, 10), CHUNK - 1, CHUNK, CHUNK + 1, R - 1, R, R + 1, 2 * R + 3]
    assert max(excess(by_blocks, N, 3, dtype, 5.0, 0) for N in sizes) <= 1


@TYPES
def test_without_a_gradient_the_values_are_the_same(dtype: str) -> None:
    given = *rows(150, 6, dtype, 5.0), 7, True, safe(dtype)
    J, gq, gk = by_blocks(*given, False)
    np.testing.assert_array_equal(J, by_blocks(*given, True)[0])
    assert gq.size == gk.size == 0


@TYPES
@pytest.mark.parametrize("bounded", [True, False])
def test_a_nan_stays_in_its_row(dtype: str, bounded: bool) -> None:
    given = q, *_ = rows(150, 6, dtype, 5.0)
    q[140, 3] = np.nan
    J, gq, gk = by_blocks(*given, 0, bounded, safe(dtype), True)
    assert np.flatnonzero(np.isnan(J)).tolist() == [140]
    assert np.flatnonzero(np.isnan(gq).any(1)).tolist() == [140]
    assert np.isnan(gk).all()  # each key has a part of that row


@TYPES
def test_far_below_the_maximum_there_is_nothing(dtype: str) -> None:
    """Row 0 sees its own key alone, exactly: log 1, no gradient."""
    q, k, b, c = (np.ones(shape, dtype) for shape in ((9, 1), (9, 1), 9, 9))
    q[0] = 1e4
    k[1:] = -1
    J, gq, gk = by_blocks(q, k, b, c, 1.0, 0, False, safe(dtype), True)
    assert J[0] == gq[0, 0] == 0
    assert np.isfinite(gk).all()
