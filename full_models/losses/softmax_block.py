"""A block of rows of a softmax loss, value and gradients, by products and exponentials that stay in the caches.

The letters are those of `full_models.losses.blocked`. With u_i = q_i / (‖q_i‖ tau) of the block's rows and k̂_j = k_j / ‖k_j‖,
keys come by chunks, one after another:

    S_ji = k̂_j·u_i                      E_ji = exp(S_ji - top_i)
    Z_i += Σ_j E_ji                      gq_i += Σ_j E_ji k̂_j

and when Z is whole, all keys again:    gk_j += Σ_i (E_ji / Z_i - δ_j,pos(i)) u_i / N

top is 0 where scores are bounded. Else it is the row's largest score so far: when a chunk raises it, Z_i and gq_i are scaled
down, and the E of the chunks before it when they are read again (the running maximum of Milakov & Gimelshein 2018).

Scores are held key by key (S and E, not their transposes), so that all three products read them as they lie. Their rows and
those of K are odd multiples of a tile's row, since in strides of a power of two a column falls into a few sets of the
cache. Most are never held: of a chunk with no positive and no own key, where top is 0, tiles write E itself. E, too large for
the second cache, is written once and read once, from its end, where it was written last; with BLAS products and a pass
between them it is moved five times.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from dynamics.machine_code import kept_jit
from dynamics.vector_width import widest
from full_models.losses.exponential import exponential
from full_models.losses.exponential_tile import exponential_tile
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
    S: NDArray[Any]  # (CHUNK, R): its scores
    E: NDArray[Any]  # (N or CHUNK, R): kept where a gradient is wanted
    W: NDArray[Any]  # (D / width, R, width): u_i / (N Z_i)
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
        "W": (lines, R, width),
        "tops": (0 if bounded else -(-N // CHUNK), R),
        "top": (R,),
        "Z": (R,),
        "score": (R,),
    }
    return Room(**{name: aligned(np.zeros, shape, dtype) for name, shape in shapes.items()})


def by_blocks(
    q: NDArray[Any], k: NDArray[Any], w: NDArray[Any], c: NDArray[Any], offset: int, bounded: bool, safe: float,
    gradient: bool,
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:  # fmt: skip
    """J (N,) of every row, and ∂J/∂q and ∂J/∂k (N, d) of their mean, w and c held; two empty arrays where none is wanted.

    q, k (N, d), contiguous; w = 1 / (‖q_i‖ tau) and c = 1 / ‖k_j‖ (N,); all of one floating type. pos(i) = i + offset (mod
    N); offset > 0 takes key i out of row i's sum. bounded: |S| <= safe = log(max) / 2, and top is 0; else what lies 1.25 safe
    below it counts as exp = 0. NaN where a row holds one.
    """
    N, d = q.shape
    room, J = make_room(N, d, q.dtype, bounded, gradient), np.empty(N, q.dtype)
    shape = up(N, NARROW_ROWS) if gradient else 0, up(d, VECTOR_BYTES // q.itemsize)
    gq, gk = (aligned(np.zeros, shape, q.dtype) for _ in range(2))
    for first in range(0, N, R := len(room.Z)):
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
    """`by_blocks` of the rows q (r, d) first, first + 1, …: J and gq out, gk added to; both have as
    many rows, and D numbers, as whole tiles take for r, N and d."""
    widest()
    N, R = len(k), len(room.Z)
    own = q.dtype.type(2 - 2 * safe if bounded else -np.inf)  # exp of it is nothing beside the smallest Z
    load(q, w, room)
    room.top[:] = 0 if bounded else -np.inf
    gq[:] = 0
    for j in range(0, N, CHUNK):
        E = room.E[j if gradient else 0 :]
        if bounded and k.shape[1] <= DEPTH and j + CHUNK <= N and not _named(j, j + CHUNK, first, len(q), offset, N):
            n = _exponentials_at_once(k, c, j, room, E)
        else:
            n = scores(k, c, j, N, first, offset, len(q), own, room)
            if not bounded:
                _raise_top(n, room, room.tops[j // CHUNK], gq)
            _exponentials(room.S, n, bounded, q.dtype.type(-1.25 * safe), E, room.Z, room.top)
        if gradient:
            add_product(E, 1, R, room.K, 1, room.K.shape[1], n, gq)
    for i in range(len(q)):
        J[i] = np.log(room.Z[i]) + room.top[i] - room.score[i]
    if gradient:
        _finish(q, w, k, c, first + offset, bounded, room, gq, gk)


@njit(**COMPILED)
def load(q: Any, w: Any, room: Any) -> None:
    """U of the block, columns beyond its rows zero, and Z = 0."""
    width = room.U.shape[2]
    if len(q) < len(room.Z):
        room.U[:] = 0
    for i in range(len(q)):
        for l in range(q.shape[1]):
            room.U[i // width, l, i % width] = q[i, l] * w[i]
    room.Z[:] = 0


@njit(**COMPILED)
def scores(k: Any, c: Any, start: int, stop: int, first: int, offset: int, rows: int, own: float, room: Any) -> int:
    """S of a chunk of keys from `start` on, at most to `stop`, own scores replaced, positives noted; how many, filled up to
    NARROW_ROWS. Keys beyond have the score `own`.
    """
    N, d, R = *k.shape, len(room.Z)
    n = min(CHUNK, stop - start)
    whole = -(-n // NARROW_ROWS) * NARROW_ROWS
    stride, width = room.K.shape[1], room.U.shape[2]
    one, zero = k.dtype.type(1), k.dtype.type(0)
    _take_keys(k, c, start, n, room)
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
    return whole


@njit(**COMPILED)
def _take_keys(k: Any, c: Any, start: int, n: int, room: Any) -> None:
    """K of the n keys from `start` on."""
    for j in range(n):
        for l in range(k.shape[1]):
            room.K[j, l] = c[start + j] * k[start + j, l]


@njit(**COMPILED)
def _named(start: int, stop: int, first: int, rows: int, offset: int, N: int) -> bool:
    """Is one of the keys from start to stop the positive of a row from `first` on, or where offset > 0 that row's own?"""
    met = False
    for at in (first, first + offset, first + offset - N):
        met = met or (start < at + rows and at < stop)
    return met


@njit(**COMPILED)
def _exponentials_at_once(k: Any, c: Any, start: int, room: Any, E: Any) -> int:
    """E = exp S of a whole chunk of keys from `start` on, none of them named, and Z += Σ_j E_ji; how many."""
    d, R, stride, width = k.shape[1], len(room.Z), room.K.shape[1], room.U.shape[2]
    _take_keys(k, c, start, CHUNK, room)
    for i in range(0, R, width):
        for j in range(0, CHUNK, ROWS):
            exponential_tile(room.K, j * stride, stride, 1, room.U, i * d, width, d, E, j * R + i, R, room.Z, i)
    return CHUNK


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


@njit(**COMPILED)
def _raise_top(n: int, room: Any, highest: Any, gq: Any) -> None:
    """top, and `highest` for later, at least the scores of the chunk; what was summed relative to a lower top is scaled."""
    highest[:] = room.top
    for j in range(n):
        for i in range(len(highest)):
            highest[i] = max(highest[i], room.S[j, i])
    for i in range(len(highest)):
        if highest[i] > room.top[i]:
            factor = np.exp(room.top[i] - highest[i])
            room.Z[i] *= factor
            if i < len(gq):
                gq[i] *= factor
    room.top[:] = highest


@njit(**COMPILED)
def _exponentials(S: Any, n: int, bounded: bool, least: Any, E: Any, Z: Any, top: Any) -> None:
    """E = exp(S - top) of n keys, two at a time: one chain of a polynomial does not fill the units. Z += Σ_j E_ji."""
    widest()
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
def _finish(q: Any, w: Any, k: Any, c: Any, shift: int, bounded: bool, room: Any, gq: Any, gk: Any) -> None:
    """The positives' part of both gradients, ∂J/∂q divided by Z, ∂J/∂k by the third product."""
    (N, d), R, width = k.shape, len(room.Z), room.W.shape[2]
    for i in range(len(q)):
        at = (shift + i) % N
        share = w[i] / (q.dtype.type(N) * room.Z[i])
        for l in range(d):
            gq[i, l] = (gq[i, l] - room.Z[i] * c[at] * k[at, l]) * share
            room.W[l // width, i, l % width] = q[i, l] * share
    room.W[:, len(q) :] = 0
    for chunk in range(-(-N // CHUNK) - 1, -1, -1):
        j, end = chunk * CHUNK, min((chunk + 1) * CHUNK, N)
        if not bounded:
            _scale(room.E[j:end], room.tops[chunk], room.top)
        if _named(j, end, shift % N, len(q), 0, N):
            for i in range(len(q)):
                at = (shift + i) % N
                if j <= at < end:
                    room.E[at, i] -= room.Z[i]
        whole = -(-(end - j) // NARROW_ROWS) * NARROW_ROWS
        add_product(room.E[j:], R, 1, room.W, R, width, R, gk[j : j + whole])


@njit(**COMPILED)
def _scale(E: Any, before: Any, top: Any) -> None:
    """E, exponentials taken relative to `before`, to what they are relative to top; `before` is used up."""
    for i in range(len(top)):
        before[i] = np.exp(before[i] - top[i])
    for e in E:
        for i in range(len(e)):
            e[i] *= before[i]
