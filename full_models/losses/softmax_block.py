"""A block of rows of a softmax loss, value and gradients, by products and exponentials that stay in the caches.

The letters are those of `full_models.losses.blocked`. With u_i = q_i / (‖q_i‖ tau) of the block's rows and k̂_j = k_j / ‖k_j‖,
keys come by chunks, one after another:

    S_ji = k̂_j·u_i                      E_ji = exp(S_ji - top_i)
    Z_i += Σ_j E_ji                      G_i += Σ_j E_ji k̂_j, which becomes gq_i

and when Z is whole, all keys again:    gk_j += Σ_i (E_ji / Z_i - δ_j,pos(i)) u_i / N

top is 0 where scores are bounded. Else it is the row's largest score so far: when a chunk raises it, Z_i and G_i are scaled
down, and the E of the chunks before it when they are read again (the running maximum of Milakov & Gimelshein 2018).

E, too large for the second cache, is written once and read once, from its end, where it was written last; with BLAS products
and a pass between them it is moved five times.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from dynamics.machine_code import kept_jit
from dynamics.vector_width import widest
from full_models.losses.chunk import CHUNK, COMPILED, Room, add_keys, add_product, load, make_room, named, scores, up
from full_models.losses.exponential_tile import exponential_tile, tile_below_top
from full_models.tile import NARROW_ROWS, ROWS, aligned
from full_models.vectors import VECTOR_BYTES


def by_blocks(
    q: NDArray[Any], k: NDArray[Any], b: NDArray[Any], c: NDArray[Any], per_tau: float, offset: int, bounded: bool,
    safe: float, gradient: bool,
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:  # fmt: skip
    """J (N,) of every row, and ∂J/∂q and ∂J/∂k (N, d) of their mean, b and c held; two empty arrays where none is wanted.

    q, k (N, d), contiguous; b = 1 / ‖q_i‖ and c = 1 / ‖k_j‖ (N,); all of one floating type; per_tau = 1 / tau.
    pos(i) = i + offset (mod N); offset > 0 takes key i out of row i's sum. bounded: |S| <= safe = log(max) / 2, and top is
    0; else what lies 1.25 safe below it counts as exp = 0. NaN where a row holds one.
    """
    N, d = q.shape
    room, J, sharp = make_room(N, d, q.dtype, bounded, gradient), np.empty(N, q.dtype), q.dtype.type(per_tau)
    gq = np.empty((N if gradient else 0, d), q.dtype)
    gk = aligned(np.zeros, (up(N, NARROW_ROWS) if gradient else 0, up(d, VECTOR_BYTES // q.itemsize)), q.dtype)
    for first in range(0, N, R := len(room.Z)):
        rows = slice(first, first + R)
        softmax_block(
            q[rows], b[rows], sharp, k, c, first, offset, bounded, safe, gradient, room, J[rows], gq[rows], gk
        )
    gk = gk[:N, :d]
    with np.errstate(over="ignore"):  # at a row of length 0 it may be beyond the type, as in torch
        gk *= c[: len(gk), None]
    return J, gq, gk


@kept_jit(**COMPILED)
def softmax_block(
    q: NDArray[Any], b: NDArray[Any], per_tau: Any, k: NDArray[Any], c: NDArray[Any], first: int, offset: int,
    bounded: bool, safe: float, gradient: bool, room: Room, J: NDArray[Any], gq: NDArray[Any], gk: NDArray[Any],
) -> None:  # fmt: skip
    """`by_blocks` of the rows q (r, d) first, first + 1, …: J and gq out, gk added to, which has as many rows, and numbers in
    them, as whole tiles take for N and d."""
    widest()
    N = len(k)
    own = q.dtype.type(2 - 2 * safe if bounded else -np.inf)  # exp of it is nothing beside the smallest Z
    load(q, b, per_tau, room)
    room.top[:] = 0 if bounded else -np.inf
    for j in range(0, N, CHUNK):
        E = room.E[j if gradient else 0 :]
        n, depth = scores(k, c, j, N, first, offset, len(q), own, not bounded, room)
        if not bounded:
            _raise_top(n, room, room.tops[j // CHUNK])
        _exponentials(n, depth, bounded, q.dtype.type(-1.25 * safe), E, room)
        if gradient:
            add_keys(E, n, room)
    for i in range(len(q)):
        J[i] = np.log(room.Z[i]) + room.top[i] - room.score[i]
    if gradient:
        _finish(q, b, per_tau, k, c, first + offset, bounded, room, gq, gk)


@njit(**COMPILED)
def _raise_top(n: int, room: Any, highest: Any) -> None:
    """top, and `highest` for later, at least the scores of the chunk; what was summed relative to a lower top is scaled."""
    highest[:] = room.top
    for j in range(n):
        for i in range(len(highest)):
            highest[i] = max(highest[i], room.S[j, i])
    for i in range(len(highest)):
        if highest[i] > room.top[i]:
            factor = np.exp(room.top[i] - highest[i])
            room.Z[i] *= factor
            room.G[:, i] *= factor
    room.top[:] = highest


@njit(**COMPILED)
def _exponentials(n: int, depth: int, bounded: bool, least: Any, E: Any, room: Any) -> None:
    """E = exp(S - top) of n keys, 0 where that is below exp(least), and Z += Σ_j E_ji."""
    R, stride, (d, width) = len(room.Z), room.K.shape[1], room.U.shape[1:]
    for i in range(0, R, width):
        for j in range(0, n, ROWS):
            at = j * R + i
            if bounded:
                exponential_tile(room.K, j * stride, stride, 1, room.U, i * d, width, depth, room.S, at, R,
                                 E, at, R, room.Z, i)  # fmt: skip
            else:
                tile_below_top(room.K, j * stride, stride, 1, room.U, i * d, width, depth, room.S, at, R,
                               room.top, least, E, at, R, room.Z, i)  # fmt: skip


@njit(**COMPILED)
def _finish(
    q: Any, b: Any, per_tau: Any, k: Any, c: Any, shift: int, bounded: bool, room: Any, gq: Any, gk: Any
) -> None:  # fmt: skip
    """The positives' part of both gradients, ∂J/∂q divided by Z, ∂J/∂k by the third product.

    b is taken last in the one and first in the other: of a long row it is near the least number of the type.
    """
    (N, d), R, width = k.shape, len(room.Z), room.W.shape[2]
    for i in range(len(q)):
        at = (shift + i) % N
        share = per_tau / (q.dtype.type(N) * room.Z[i])
        for l in range(d):
            gq[i, l] = (room.G[l, i] - room.Z[i] * c[at] * k[at, l]) * share * b[i]
            room.W[l // width, i, l % width] = b[i] * q[i, l] * share
    room.W[:, len(q) :] = 0
    for chunk in range(-(-N // CHUNK) - 1, -1, -1):
        j, end = chunk * CHUNK, min((chunk + 1) * CHUNK, N)
        if not bounded:
            _scale(room.E[j:end], room.tops[chunk], room.top)
        if named(j, end, shift % N, len(q), 0, N):
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
