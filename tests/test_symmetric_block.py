"""Blocks whose scores serve a row and a column, against the formula in long doubles; and that each part of them is needed."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from softmax_cases import TYPES, formula
from tile_oracles import SOURCES, exponential_tiles_by_numpy, parts_of, uncompiled

from full_models.losses import symmetric_block
from full_models.losses.chunk import BLOCK, CHUNK, DEPTH
from full_models.losses.symmetric_block import by_pairs

Parts = tuple[Any, Any]
SOURCE = Path(symmetric_block.__file__).read_text()


def rows(M: int, d: int, dtype: Any) -> tuple[Any, Any]:
    """z and c = 1 / ‖z‖, with neighbours and positives that are alike."""
    rng = np.random.default_rng(0)
    z = rng.standard_normal((M, d)) + 0.3 * rng.standard_normal(d)
    z[M // 2 :] += z[: M // 2]
    z = z.astype(dtype)
    return z, (1 / np.linalg.norm(z.astype(float), axis=1)).astype(dtype)


def excess(blocks: Callable[..., Parts], M: int, d: int, dtype: Any, tau: float) -> float:
    """Largest difference from the formula over what rounding allows, as in softmax_cases; infinite for a NaN."""
    z, c = rows(M, d, dtype)
    J, g = blocks(z, c, tau, True)
    expected, gq, gk = formula(z, z, c, c, 1 / tau, M // 2)
    law = 8 * (M + d) * np.finfo(dtype).eps / tau
    unit = float(c.max()) / tau / M
    worst = max(float(np.abs(J - expected).max()), float(np.abs(g - (gq + gk)).max()) / unit) / law
    return worst if np.isfinite(worst) else np.inf


@TYPES
@pytest.mark.parametrize("tau", [0.03, 0.5])
def test_blocks_are_the_formula(dtype: str, tau: float) -> None:
    for d in (
        1,
        5,
        8,
        17,
        40,
        DEPTH + 3,
    ):  # below, at and beyond a line of float64; tiles and a narrow one; two sums a score
        assert excess(by_pairs, 2 * (CHUNK + 13), d, dtype, tau) <= 1, d


@TYPES
def test_every_number_of_rows(dtype: str) -> None:
    """Around a tile, a chunk of keys and a block of rows, which all end somewhere else."""
    R = BLOCK // np.dtype(dtype).itemsize
    sizes = [
        *range(2, 12, 2),
        CHUNK - 2,
        CHUNK,
        CHUNK + 2,
        R - 2,
        R,
        R + 2,
        R + CHUNK,
        R + CHUNK + 2,
        2 * R + 4,
        3 * R + 6,
    ]
    for M in sizes:
        assert excess(by_pairs, M, 3, dtype, 0.2) <= 1, M


@TYPES
def test_without_a_gradient_the_values_are_the_same(dtype: str) -> None:
    given = *rows(300, 6, dtype), 0.2
    J, g = by_pairs(*given, False)
    np.testing.assert_array_equal(J, by_pairs(*given, True)[0])
    assert g.size == 0


def test_a_nan_is_in_every_sum() -> None:
    z, c = rows(300, 6, "float64")
    z[140, 3] = np.nan
    J, g = by_pairs(z, c, 0.2, True)
    assert np.isnan(J).all() and np.isnan(g).all()


FAULTS = {
    "the block's own keys for both": (
        "        if start >= end:\n            for j",
        "        if True:\n            for j",
    ),
    "later keys for their row alone, in the sums": (
        "        if start >= end:\n            for j",
        "        if False:\n            for j",
    ),
    "later keys for their row alone, in the gradient": (
        "        if start >= end:\n            add",
        "        if False:\n            add",
    ),
    "the block's own keys twice in the gradient": (
        "        if start >= end:\n            add",
        "        if True:\n            add",
    ),
    "sums of the chunk before kept": ("room.T[:] = 0", "pass"),
    "the sum of the row lost": ("room.Z[i] = inverse[first + i]", "room.Z[i] = 0"),
    "the sum of the wrong key": ("inverse[start:]", "inverse[start + 1 :]"),
    "tiles of sums lost": (
        "for j in range(0, n, ROWS):\n            summed",
        "for j in range(ROWS, n, ROWS):\n            summed",
    ),
    "tiles of weights lost": (
        "for j in range(0, n, ROWS):\n            at",
        "for j in range(ROWS, n, ROWS):\n            at",
    ),
    "one positive": ("g[i, l] - 2 * c[at]", "g[i, l] - c[at]"),
    "the wrong positive": ("at = (i + M // 2) % M", "at = (i + M // 2 + 1) % M"),
    "lengths lost in the columns": ("= c[first + i] * q[i, l]", "= q[i, l]"),
    "the score of the second view lost": ("score[first + i] = score[first + i + M // 2] = ", "score[first + i] = "),
    "chunks over the block's end": ("min(j + CHUNK, end)", "min(j + CHUNK, M)"),
    "share of a row": ("= c[i] * (share", "= c[0] * (share"),
    "1 / tau lost in the gradient": ("per_tau / kind(M)", "1 / kind(M)"),
    "1 / tau lost in the sums": ("sum_block(z[rows], per_tau, z", "sum_block(z[rows], kind(1), z"),
    "the row's own part of the gradient lost": ("g[first + i, l] += room.G[l, i]", "pass"),
}


def mutant(text: str) -> Callable[..., Parts]:
    """by_pairs of a source, uncompiled, on the uncompiled parts of `chunk` with small blocks."""
    parts, names = parts_of(SOURCES[0]), ("CHUNK", "add_keys", "add_product", "load", "make_room", "scores")
    return uncompiled(text, **{name: parts[name] for name in names}, **exponential_tiles_by_numpy())["by_pairs"]


def worst_of(blocks: Callable[..., Parts]) -> float:
    """Infinite where it reads beyond an array, which compiled code would do in silence."""
    with suppress(IndexError), np.errstate(all="ignore"):  # a fault may divide by zero
        return max(excess(blocks, M, 18, "float64", 0.2) for M in (62, 110))
    return np.inf


def test_the_source_read_as_python_is_the_formula() -> None:
    assert worst_of(mutant(SOURCE)) <= 1


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_found(name: str) -> None:
    old, new = FAULTS[name]
    assert SOURCE.count(old) == 1
    # rounding is below 1; each fault is one of at least 1e-3 of the unit, and the law here is 8 (128) eps / 0.2 = 1e-12
    assert worst_of(mutant(SOURCE.replace(old, new))) > 1e6
