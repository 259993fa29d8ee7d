"""A block of rows of a softmax loss, value and gradients, by products and exponentials that stay in the caches.

The letters are those of `full_models.losses.blocked`. With u_i = q_i / (‖q_i‖ tau) of the block's rows and k̂_j = k_j / ‖k_j‖,
keys come by chunks, one after another:

    S_ji = k̂_j·u_i                      E_ji = exp(S_ji - top_i)
    Z_i += Σ_j E_ji                      gq_i += Σ_j E_ji k̂_j

and when Z is whole, all keys again:    gk_j += Σ_i (E_ji / Z_i - δ_j,pos(i)) u_i / N

Scores are held key by key (S and E, not their transposes), so that all three products read their factors as they lie: no
panel is packed. Rows have an odd number of cache lines, since in strides of a power of two a column falls into a few
sets of the cache. E goes through the third cache once in each direction; a BLAS product and a pass over its result do
so six times.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from dynamics.machine_code import kept_jit
from full_models.losses.exponential import exponential
from full_models.tile import ROWS, VECTOR_BYTES, VECTORS, tile

LINE = VECTORS * VECTOR_BYTES  # bytes of a row of a tile, and of a cache line
BLOCK = 13 * LINE  # bytes of a row of U, S and E: an odd number of lines
CHUNK = 96  # keys
COMPILED: dict[str, Any] = {"nogil": True, "error_model": "numpy", "fastmath": {"contract"}}


class Room(NamedTuple):
    """What the blocks share, one after another. R: rows of a block; stride: an odd number of lines, d numbers at least."""

    U: NDArray[Any]  # (d, R): the block's u, transposed
    K: NDArray[Any]  # (CHUNK, stride): k̂ of a chunk
    S: NDArray[Any]  # (CHUNK, R): its scores
    E: NDArray[Any]  # (N or CHUNK, R): kept where a gradient is wanted
    W: NDArray[Any]  # (R, stride): u_i / (N Z_i)
    Z: NDArray[Any]  # (R,)
    top: NDArray[Any]  # (R,)
    score: NDArray[Any]  # (R,): of the positives


def up(n: int, step: int) -> int:
    """The least multiple of step that is not below n."""
    return -(-n // step) * step


def make_room(N: int, d: int, dtype: np.dtype[Any], gradient: bool) -> Room:
    """Room for N keys of d numbers."""
    width = LINE // dtype.itemsize
    R = BLOCK // dtype.itemsize
    stride = (up(d, width) // width | 1) * width
    shapes = (d, R), (CHUNK, stride), (CHUNK, R), (up(N, ROWS) if gradient else CHUNK, R), (R, stride), R, R, R
    return Room(*(np.zeros(shape, dtype) for shape in shapes))


def by_blocks(
    q: NDArray[Any], k: NDArray[Any], w: NDArray[Any], c: NDArray[Any], offset: int, bounded: bool, safe: float,
    gradient: bool,
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:  # fmt: skip
    """J (N,) of every row, and ∂J/∂q and ∂J/∂k (N, d) of their mean, w and c held; two empty arrays where none is wanted.

    q, k (N, d), contiguous; w = 1 / (‖q_i‖ tau) and c = 1 / ‖k_j‖ (N,); all of one floating type. pos(i) = i + offset (mod
    N); offset > 0 takes key i out of row i's sum. bounded: |S| <= safe = log(max) / 2, and top is 0; else it is the row's
    maximum, found by products of their own, and what lies 1.25 safe below it counts as exp = 0. NaN where a row holds one.
    """
    N, d = q.shape
    room, J = make_room(N, d, q.dtype, gradient), np.empty(N, q.dtype)
    gq, gk = (np.zeros((up(N, ROWS) if gradient else 0, up(d, LINE // q.itemsize)), q.dtype) for _ in range(2))
    for first in range(0, N, R := room.U.shape[1]):
        rows = slice(first, first + R)
        softmax_block(q[rows], w[rows], k, c, first, offset, bounded, safe, gradient, room, J[rows], gq[rows], gk)
    gq, gk = gq[:N, :d], gk[:N, :d]
    gk *= c[: len(gk), None]
    return J, gq, gk


@kept_jit(**COMPILED)
def softmax_block(
    q: NDArray[Any], w: NDArray[Any], k: NDArray[Any], c: NDArray[Any], first: int, offset: int, bounded: bool,
    safe: float, gradient: bool, room: Room, J: NDArray[Any], gq: NDArray[Any], gk: NDArray[Any],
) -> None:  # fmt: skip
    """`by_blocks` of the rows q (r, d) first, first + 1, …: J and gq out, gk added to; gq (4⌈r/4⌉, D), gk (4⌈N/4⌉, D),
    D: d, filled up to whole lines."""
    N, R, D = len(k), room.U.shape[1], gk.shape[1]
    one = q.dtype.type(1)
    own = q.dtype.type(2 - 2 * safe if bounded else -np.inf)  # exp of it is nothing beside the smallest Z
    _load(q, w, room)
    room.top[:] = 0 if bounded else -np.inf
    if not bounded:
        for j in range(0, N, CHUNK):
            _maxima(_scores(k, c, j, first, offset, len(q), own, room), room)
    gq[:] = 0
    for j in range(0, N, CHUNK):
        n = _scores(k, c, j, first, offset, len(q), own, room)
        E = room.E[j if gradient else 0 :]
        _exponentials(room.S, n, bounded, q.dtype.type(-1.25 * safe), E, room.Z, room.top)
        if gradient:
            for v in range(0, D, LINE // q.itemsize):
                for i in range(0, len(gq), ROWS):
                    tile(E, i, 1, R, room.K, v, room.K.shape[1], n, one, one, gq, i * D + v, D)
    for i in range(len(q)):
        J[i] = np.log(room.Z[i]) + room.top[i] - room.score[i]
    if gradient:
        _finish(q, w, k, c, first + offset, room, gq, gk)


@njit(**COMPILED)
def _load(q: Any, w: Any, room: Any) -> None:
    """U of the block, columns beyond its rows zero, and Z = 0."""
    for i in range(len(q)):
        for l in range(q.shape[1]):
            room.U[l, i] = q[i, l] * w[i]
    room.U[:, len(q) :] = 0
    room.Z[:] = 0


@njit(**COMPILED)
def _scores(k: Any, c: Any, start: int, first: int, offset: int, rows: int, own: float, room: Any) -> int:
    """S of the chunk from key `start` on, own scores replaced, positives noted; its number of keys, filled up to ROWS.

    Keys beyond N have the score `own`.
    """
    N, d, R = *k.shape, room.U.shape[1]
    n = min(CHUNK, N - start)
    whole = -(-n // ROWS) * ROWS
    stride = room.K.shape[1]
    one, zero = k.dtype.type(1), k.dtype.type(0)
    for j in range(n):
        for l in range(d):
            room.K[j, l] = c[start + j] * k[start + j, l]
    room.K[n:whole] = 0
    for i in range(0, R, LINE // k.itemsize):
        for j in range(0, whole, ROWS):
            tile(room.K, j * stride, stride, 1, room.U, i, R, d, one, zero, room.S, j * R + i, R)
    for i in range(rows):
        at = first + offset + i
        at -= N if at >= N else 0
        if start <= at < start + n:
            room.score[i] = room.S[at - start, i]
        if offset > 0 and start <= first + i < start + n:
            room.S[first + i - start, i] = own
    room.S[n:whole] = own
    return whole


@njit(**COMPILED)
def _maxima(n: int, room: Any) -> None:
    for j in range(n):
        for i in range(room.S.shape[1]):
            room.top[i] = max(room.top[i], room.S[j, i])


@njit(**COMPILED)
def _exponentials(S: Any, n: int, bounded: bool, least: Any, E: Any, Z: Any, top: Any) -> None:
    """E = exp(S - top) of n keys, two at a time: one chain of a polynomial does not fill the units. Z += Σ_j E_ji."""
    zero = S.dtype.type(0)
    for j in range(0, n, 2):
        s, s_next, e, e_next = S[j], S[j + 1], E[j], E[j + 1]
        if bounded:
            for i in range(len(Z)):
                a, b = exponential(s[i]), exponential(s_next[i])
                Z[i] += a + b
                e[i], e_next[i] = a, b
        else:
            for i in range(len(Z)):
                x, y = s[i] - top[i], s_next[i] - top[i]
                a = zero if x < least else exponential(x)
                b = zero if y < least else exponential(y)
                Z[i] += a + b
                e[i], e_next[i] = a, b


@njit(**COMPILED)
def _finish(q: Any, w: Any, k: Any, c: Any, shift: int, room: Any, gq: Any, gk: Any) -> None:
    """The positives' part of both gradients, ∂J/∂q divided by Z, ∂J/∂k by the third product."""
    (N, d), R, D, stride = k.shape, room.U.shape[1], gk.shape[1], room.W.shape[1]
    one = q.dtype.type(1)
    for i in range(len(q)):
        at = (shift + i) % N
        room.E[at, i] -= room.Z[i]
        share = w[i] / (q.dtype.type(N) * room.Z[i])
        for l in range(d):
            gq[i, l] = (gq[i, l] - room.Z[i] * c[at] * k[at, l]) * share
            room.W[i, l] = q[i, l] * share
    room.W[len(q) :] = 0
    for j in range(0, N, CHUNK):
        for v in range(0, D, LINE // q.itemsize):
            for i in range(j, min(j + CHUNK, N), ROWS):
                tile(room.E, i * R, R, 1, room.W, v, stride, R, one, one, gk, i * D + v, D)
