"""A chunk of keys beside a block of rows: where their scores come from, and the products of what is made of them.

The letters are those of `full_models.losses.softmax_block` and `symmetric_block`, which share these parts. Scores are held key
by key (S and E, not their transposes), so that all products read them as they lie. Their rows and those of K are odd multiples
of a tile's row, since in strides of a power of two a column falls into a few sets of the cache. Most are never held: tiles
that make them turn them into exponentials at once, save where a key is one of the block's own or a positive.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from full_models.tile import NARROW_ROWS, ROW_BYTES, ROWS, aligned, narrow_tile, tile
from full_models.vectors import VECTOR_BYTES

BLOCK = (832 // ROW_BYTES | 1) * ROW_BYTES  # bytes of a row of U, S and E: an odd number of rows of tiles
CHUNK = 128  # keys
DEPTH = 256  # rows of U at a time: those of a tile then stay in the first cache
COMPILED: dict[str, Any] = {"nogil": True, "error_model": "numpy", "fastmath": {"contract"}}


class Room(NamedTuple):
    """What the blocks share, one after another. R: rows of a block; stride: an odd number of rows of tiles, d numbers at least."""

    U: NDArray[Any]  # (R / width, d, width): the block's u, transposed
    K: NDArray[Any]  # (CHUNK, stride): k̂ of a chunk
    S: NDArray[Any]  # (CHUNK, R): its scores, where they are held
    E: NDArray[Any]  # (N or CHUNK, R): kept where a gradient is wanted
    G: NDArray[Any]  # (d and up to a tile's rows, R): Σ_j E_ji k̂_j of the block, transposed: vectors of E, numbers of K
    W: NDArray[Any]  # (D / width, R, width): u_i / (N Z_i)
    T: NDArray[Any]  # (CHUNK, numbers of a vector): sums of its keys' exponentials, to be summed over the vector
    tops: NDArray[Any]  # (chunks, R): top when the chunk's E were taken; no rows where scores are bounded
    top: NDArray[Any]  # (R,)
    Z: NDArray[Any]  # (R,)
    score: NDArray[Any]  # (R,): of the positives


def up(n: int, step: int) -> int:
    """The least multiple of step that is not below n."""
    return -(-n // step) * step


def make_room(N: int, d: int, dtype: np.dtype[Any], bounded: bool, gradient: bool) -> Room:
    """Room for N keys of d numbers."""
    width = ROW_BYTES // dtype.itemsize
    R = BLOCK // dtype.itemsize
    lines = up(d, width) // width
    shapes = {
        "U": (R // width, d, width),
        "K": (CHUNK, (lines | 1) * width),
        "S": (CHUNK, R),
        "E": (up(N, NARROW_ROWS) if gradient else CHUNK, R),
        "G": (up(d, ROWS), R),
        "W": (lines, R, width),
        "T": (CHUNK, VECTOR_BYTES // dtype.itemsize),
        "tops": (0 if bounded else -(-N // CHUNK), R),
        "top": (R,),
        "Z": (R,),
        "score": (R,),
    }
    return Room(**{name: aligned(np.zeros, shape, dtype) for name, shape in shapes.items()})


@njit(**COMPILED)
def load(q: Any, b: Any, per_tau: Any, room: Any) -> None:
    """U of the block, columns beyond its rows zero; Z = 0 and G = 0. First b q, which is of order 1: b / tau may leave the type."""
    width = room.U.shape[2]
    if len(q) < len(room.Z):
        room.U[:] = 0
    for i in range(len(q)):
        for l in range(q.shape[1]):
            room.U[i // width, l, i % width] = b[i] * q[i, l] * per_tau
    room.Z[:] = 0
    room.G[:] = 0


@njit(**COMPILED)
def scores(
    k: Any, c: Any, start: int, stop: int, first: int, offset: int, rows: int, own: float, held: bool, room: Any
) -> tuple[int, int]:  # fmt: skip
    """K of a chunk of keys from `start` on, at most to `stop`, and S, with own scores replaced and positives noted, where it is to
    be held, holds names or is cut short.

    Returns how many keys, filled up to NARROW_ROWS by such of the score `own`, and the k of `exponential_tile`: 0 where S is
    there.
    """
    N, d, R = *k.shape, len(room.Z)
    n = min(CHUNK, stop - start)
    whole = -(-n // NARROW_ROWS) * NARROW_ROWS
    stride, width = room.K.shape[1], room.U.shape[2]
    one, zero = k.dtype.type(1), k.dtype.type(0)
    for j in range(n):
        for l in range(d):
            room.K[j, l] = c[start + j] * k[start + j, l]
    if d <= DEPTH and not held and n == CHUNK and not named(start, start + n, first, rows, offset, N):
        return n, d
    room.K[n:whole] = 0
    for i in range(0, R, width):
        for l in range(0, d, DEPTH):
            sum_so_far = one if l else zero
            for j in range(0, whole, ROWS):
                tile(room.K, j * stride + l, stride, 1, room.U, i * d + l * width, width, min(DEPTH, d - l), one,
                     sum_so_far, room.S, j * R + i, R)  # fmt: skip
    for i in range(rows):
        at = first + offset + i
        at -= N if at >= N else 0
        if start <= at < start + n:
            room.score[i] = room.S[at - start, i]
        if offset > 0 and start <= first + i < start + n:
            room.S[first + i - start, i] = own
    room.S[n:whole] = own
    return whole, 0


@njit(**COMPILED)
def named(start: int, stop: int, first: int, rows: int, offset: int, N: int) -> bool:
    """Is one of the keys from start to stop the positive of a row from `first` on, or where offset > 0 that row's own?"""
    met = False
    for at in (first, first + offset, first + offset - N):
        met = met or (start < at + rows and at < stop)
    return met


@njit(**COMPILED)
def add_keys(E: Any, n: int, room: Any) -> None:
    """G += K E of n keys."""
    R, stride, width, one = len(room.Z), room.K.shape[1], room.U.shape[2], E.dtype.type(1)
    for i in range(0, R, width):
        for l in range(0, len(room.G), ROWS):
            tile(room.K, l, 1, stride, E, i, R, n, one, one, room.G, l * R + i, R)


@njit(**COMPILED)
def add_product(A: Any, ai: int, al: int, B: Any, bj: int, bl: int, k: int, C: Any) -> None:
    """C += A B, A with k columns: number (i, l) of A is number i ai + l al of its memory, a tile's columns from j on begin in row
    l of B at number j bj + l bl."""
    (m, n), width, one = C.shape, ROW_BYTES // C.itemsize, C.dtype.type(1)
    whole = n // width * width
    for j in range(0, whole, width):
        for i in range(0, m, ROWS):
            tile(A, i * ai, ai, al, B, j * bj, bl, k, one, one, C, i * n + j, n)
    if whole < n:
        for i in range(0, m, NARROW_ROWS):
            narrow_tile(A, i * ai, ai, al, B, whole * bj, bl, k, one, one, C, i * n + whole, n)
