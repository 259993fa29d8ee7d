"""Compiled blocks of a softmax loss against its formula in long double, and what a fault in them would look like."""

from __future__ import annotations

import re
import types
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from full_models.losses import chunk, softmax_block
from full_models.losses.chunk import BLOCK, CHUNK, DEPTH
from full_models.losses.softmax_block import by_blocks
from full_models.tile import NARROW_ROWS, ROW_BYTES, ROWS
from full_models.vectors import VECTOR_BYTES

Parts = tuple[Any, Any, Any]
SOURCES = tuple(Path(module.__file__).read_text() for module in (chunk, softmax_block))
TYPES = pytest.mark.parametrize("dtype", ["float64", "float32"])


def safe(dtype: Any) -> float:
    return float(np.log(np.finfo(dtype).max)) / 2


def formula(q: Any, k: Any, b: Any, c: Any, per_tau: float, offset: int) -> Parts:
    """J and the gradients of its mean, b and c held, in numpy's long double."""
    q, k, b, c = (x.astype(np.longdouble) for x in (q, k, b, c))
    N, i, w = len(q), np.arange(len(q)), b * per_tau
    s = (q * w[:, None]) @ (k * c[:, None]).T
    score = s[i, (i + offset) % N]
    if offset:
        s[i, i] = -np.inf
    e = np.exp(s - s.max(1, keepdims=True))
    pi = e / e.sum(1, keepdims=True)
    J = np.log(e.sum(1)) + s.max(1) - score
    pi[i, (i + offset) % N] -= 1
    return J, w[:, None] * (pi @ (k * c[:, None])) / N, c[:, None] * (pi.T @ (q * w[:, None])) / N


def rows(N: int, d: int, dtype: Any, spread: float) -> tuple[Any, Any, Any, Any, float]:
    """q, k, b, c, per_tau whose scores are at most `spread`, and near it somewhere."""
    rng = np.random.default_rng(0)
    q, k = rng.standard_normal((2, N, d))
    c = 1 / np.linalg.norm(k, axis=1)
    b = rng.uniform(0.5, 1, N) / np.linalg.norm(q, axis=1)
    return q.astype(dtype), k.astype(dtype), b.astype(dtype), c.astype(dtype), spread


def excess(blocks: Callable[..., Parts], N: int, d: int, dtype: Any, spread: float, offset: int) -> float:
    """Largest difference from the formula over what rounding allows; infinite for a NaN.

    A score is a sum of d products of roundings of their own, off by (d + 3) u spread; e^s and so π by that and by a
    sum's N u beside; a sum over N rows adds N u again: 8 (N + d) u max(1, spread) bounds all. Gradients in the unit of the
    largest possible, and ∂J/∂k of the column's sum of π, which may be N.
    """
    given = _, _, b, c, per_tau = rows(N, d, dtype, spread)
    bounded = spread <= safe(dtype)
    got, expected = blocks(*given, offset, bounded, safe(dtype), True), formula(*given, offset)
    law = 8 * (N + d) * np.finfo(dtype).eps * max(1.0, spread)
    unit = 1.0, float(b.max()) * per_tau / N, float((spread * c).max())
    worst = [float(np.abs(g - e).max()) / u / law for g, e, u in zip(got, expected, unit, strict=True)]
    return max(worst) if np.isfinite(worst).all() else np.inf


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


FAULTS = {
    "own key kept": ("if offset > 0 and start", "if False and start"),
    "own key's score far from nothing": ("2 - 2 * safe if bounded", "0 if bounded"),
    "positive at the wrong key": ("(shift + i) % N", "(shift + i + 1) % N"),
    "value of the wrong key": ("at = first + offset + i\n", "at = first + offset + i + 1\n"),
    "positive not taken away in ∂J/∂k": ("room.E[at, i] -= room.Z[i]", "pass"),
    "positive not taken away in ∂J/∂q": ("room.G[l, i] - room.Z[i] * c[at] * k[at, l]", "room.G[l, i]"),
    "sum not divided out": ("share = per_tau / (q.dtype.type(N) * room.Z[i])", "share = per_tau / q.dtype.type(N)"),
    "1 / tau lost in the scores": ("b[i] * q[i, l] * per_tau", "b[i] * q[i, l]"),
    "lengths of q lost in the scores": ("b[i] * q[i, l] * per_tau", "q[i, l] * per_tau"),
    "lengths of q lost in ∂J/∂q": ("* share * b[i]", "* share"),
    "lengths of q lost in ∂J/∂k": ("b[i] * q[i, l] * share", "q[i, l] * share"),
    "lengths of k lost in the scores": ("c[start + j] * k[start + j, l]", "k[start + j, l]"),
    "lengths of k lost in ∂J/∂k": ("gk *= c[: len(gk), None]", "pass"),
    "exponentials of later tiles lost": ("for j in range(0, n, ROWS)", "for j in range(0, ROWS, ROWS)"),
    "a chunk's tail lost": ("n = min(CHUNK, stop - start)", "n = min(CHUNK, stop - start) // ROWS * ROWS"),
    "keys beyond the last counted": ("room.S[n:whole] = own", "pass"),
    "maximum not given back": ("np.log(room.Z[i]) + room.top[i]", "np.log(room.Z[i])"),
    "sums before a higher maximum kept, Z": ("room.Z[i] *= factor", "pass"),
    "sums before a higher maximum kept, ∂J/∂q": ("room.G[:, i] *= factor", "pass"),
    "exponentials before a higher maximum kept": ("e[i] *= before[i]", "pass"),
    "columns beyond the last whole tile lost": ("if whole < n:", "if False:"),
    "columns of whole tiles lost": ("for j in range(0, whole, width):", "for j in range(width, whole, width):"),
    "keys with names taken for others": ("met = False", "return False"),
    "own keys taken for others": ("for at in (first, first + offset,", "for at in (first + offset,"),
    "positives beyond the last key taken for others": ("first + offset, first + offset - N)", "first + offset)"),
    "a cut chunk taken for a whole one": ("and n == CHUNK and", "and"),
    "scores without a bound not held": ("own, not bounded, room", "own, False, room"),
    "scores that are held made again": ("return whole, 0", "return whole, d"),
    "the top not taken away": ("            if bounded:\n", "            if True:\n"),
    "first dimensions of ∂J/∂q lost": (
        "for l in range(0, len(room.G), ROWS)",
        "for l in range(ROWS, len(room.G), ROWS)",
    ),
    "∂J/∂q of the block before kept": ("room.G[:] = 0", "pass"),
    "tiles of exponentials lost": (
        "for i in range(0, R, width):\n        for j in range(0, n",
        "for i in range(width, R, width):\n        for j in range(0, n",
    ),
    "the first chunk not read again": ("- 1, -1, -1)", "- 1, 0, -1)"),
    "first numbers of a score lost": ("sum_so_far = one if l else zero", "sum_so_far = zero"),
}


def tile_by_numpy(
    rows: int,
    row_bytes: int,
    A: Any,
    a: int,
    ai: int,
    al: int,
    B: Any,
    b: int,
    bl: int,
    k: int,
    alpha: Any,
    beta: Any,
    C: Any,
    c: int,
    ci: int,
) -> None:
    """What `full_models.tile.tile` does, from its formula."""
    width, C = row_bytes // C.itemsize, C.reshape(-1)
    r, v, l = np.arange(rows)[:, None], np.arange(width), np.arange(k)
    product = A.reshape(-1)[a + r * ai + l * al] @ B.reshape(-1)[b + l[:, None] * bl + v]
    C[c + r * ci + v] = alpha * product + (beta * C[c + r * ci + v] if beta else 0)


def exponential_tiles_by_numpy() -> dict[str, Callable[..., None]]:
    """What the tiles of `full_models.losses.exponential_tile` do, from their formulas."""
    r = np.arange(ROWS)[:, None]

    def made(
        A: Any, a: int, ai: int, al: int, B: Any, b: int, bl: int, k: int, S: Any, s: int, si: int
    ) -> tuple[Any, Any]:  # fmt: skip
        """Scores and the numbers v of their columns."""
        v = np.arange(ROW_BYTES // S.itemsize)
        if k == 0:
            return S.reshape(-1)[s + r * si + v], v
        out, one = np.zeros((ROWS, len(v)), S.dtype), S.dtype.type(1)
        tile_by_numpy(ROWS, ROW_BYTES, A, a, ai, al, B, b, bl, k, one, 0 * one, out, 0, len(v))
        return out, v

    def exponential_tile(*given: Any) -> None:
        (S, v), (E, e, ei, Z, z) = made(*given[:11]), given[11:]
        E.reshape(-1)[e + r * ei + v] = np.exp(S)
        Z[z + v] += np.exp(S).sum(0)

    def tile_below_top(*given: Any) -> None:
        (S, v), (top, least, E, e, ei, Z, z) = made(*given[:11]), given[11:]
        x = S - top[z + v]
        powers = np.where(x < least, 0, np.exp(x))
        E.reshape(-1)[e + r * ei + v] = powers
        Z[z + v] += powers.sum(0)

    def summed_tile(*given: Any) -> None:
        (S, v), (Z, z, T, t) = made(*given[:11]), given[11:]
        Z[z + v] += np.exp(S).sum(0)
        lanes = VECTOR_BYTES // S.itemsize
        T.reshape(-1)[t + r * lanes + np.arange(lanes)] += np.exp(S).reshape(ROWS, -1, lanes).sum(1)

    def weighed_tile(*given: Any) -> None:
        (S, v), (of_row, z, of_key, j, E, e, ei) = made(*given[:11]), given[11:]
        E.reshape(-1)[e + r * ei + v] = np.exp(S) * (of_row[z + v] + of_key[j + r])

    tiles = (exponential_tile, tile_below_top, summed_tile, weighed_tile)
    return {tile.__name__: tile for tile in tiles}


def uncompiled(text: str, **names: Any) -> dict[str, Any]:
    """What a source defines, as Python, with these names for what it imports."""
    module = types.ModuleType("mutant")
    exec(compile(re.sub(r"@(kept_jit|njit)\(.*\)\n", "", text), "mutant", "exec"), module.__dict__)
    module.__dict__.update(names, widest=lambda: None)
    return module.__dict__


def parts_of(text: str) -> dict[str, Any]:
    """The parts of `full_models.losses.chunk` with small blocks, so that few numbers have several of each kind."""
    for size, small in (
        ("BLOCK = (832 // ROW_BYTES | 1)", "BLOCK = 3"), ("CHUNK = 128", "CHUNK = 32"), ("DEPTH = 256", "DEPTH = 4")
    ):  # fmt: skip
        assert text.count(size) == 1
        text = text.replace(size, small)
    whole, narrow = partial(tile_by_numpy, ROWS, ROW_BYTES), partial(tile_by_numpy, NARROW_ROWS, VECTOR_BYTES)
    return uncompiled(text, tile=whole, narrow_tile=narrow)


def as_python(*sources: str) -> Callable[..., Parts]:
    """by_blocks of the sources of `chunk` and `softmax_block`."""
    names = ("CHUNK", "add_keys", "add_product", "load", "make_room", "named", "scores")
    parts = parts_of(sources[0])
    own = {name: parts[name] for name in names} | exponential_tiles_by_numpy()
    return uncompiled(sources[1], **own)["by_blocks"]


def worst_of(blocks: Callable[..., Parts]) -> float:
    """Infinite where it reads beyond an array, which compiled code would do in silence."""
    with suppress(IndexError), np.errstate(all="ignore"):  # a fault may divide by zero
        return max(
            excess(blocks, 93, d, "float64", spread, offset)
            for d in (3, 18)  # scores by one sum, which may be exponentials at once, and by several
            for spread in (5.0, 2000.0)
            for offset in (0, 35)  # more than a chunk: own keys and positives are then not in the same ones
        )
    return np.inf


def test_the_source_read_as_python_is_the_formula() -> None:
    assert worst_of(as_python(*SOURCES)) <= 1


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_found(name: str) -> None:
    old, new = FAULTS[name]
    assert sum(old in source for source in SOURCES) == 1
    # rounding is below 1; each fault is one of at least 1e-3 of the unit, and the law here is 8 (111) eps 2000 = 4e-10
    assert worst_of(as_python(*(source.replace(old, new) for source in SOURCES))) > 1e6
