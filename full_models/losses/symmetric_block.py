"""Blocks of a softmax loss whose rows are their own keys, value and gradient: each score is made for its row and its column.

With k̂_i = z_i / ‖z_i‖ for M rows, pos(i) = i + M/2 (mod M), and every row out of its own sum,

    S_ij = k̂_i·k̂_j / tau = S_ji      E_ij = exp S_ij      Z_i = Σ_{j≠i} E_ij      J_i = log Z_i - S_i,pos(i)
    ∂(mean J)/∂k̂_i = (Σ_{j≠i} (1/Z_i + 1/Z_j) E_ij k̂_j - 2 k̂_pos(i)) / (tau M)

A block of rows meets the keys from its own first row on: those of the block as they are, each later one for both. A first
pass sums Z; the second makes the scores anew and adds E (1/Z_i + 1/Z_j) k̂ to both gradients. Scores are half of M² in each
pass: 4 M² d operations and M² exponentials where `softmax_block` takes 6 M² d, and nothing of length M x block is kept.
Only for bounded scores, |S| <= log(max) / 2: there is no running maximum.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from dynamics.machine_code import kept_jit
from dynamics.vector_width import widest
from full_models.losses.chunk import CHUNK, COMPILED, Room, add_keys, add_product, load, make_room, scores, up
from full_models.losses.exponential_tile import summed_tile, weighed_tile
from full_models.tile import NARROW_ROWS, ROWS, aligned
from full_models.vectors import VECTOR_BYTES


def by_pairs(z: NDArray[Any], c: NDArray[Any], tau: float, gradient: bool) -> tuple[NDArray[Any], NDArray[Any]]:
    """J (M,) of every row, and ∂/∂z (M, d) of their mean, c = 1 / ‖z_i‖ held; an empty array where none is wanted.

    z (M, d), contiguous, M even; c (M,) of its type; 1 / tau <= log(max) / 2. NaN where a row holds one.
    """
    (M, d), kind = z.shape, z.dtype.type
    room = make_room(M, d, z.dtype, bounded=True, gradient=False)
    Z, score, per_tau = np.zeros(M, z.dtype), np.empty(M, z.dtype), kind(1 / tau)
    blocks = [slice(first, first + len(room.Z)) for first in range(0, M, len(room.Z))]
    # exp of it is nothing beside the smallest Z, and yet no denormal over the largest: these slow a product's vectors down
    own = kind(np.log(np.finfo(z.dtype).eps) - 5 - 1 / tau)
    for rows in blocks:
        sum_block(z[rows], per_tau, z, c, rows.start, own, room, Z, score)
    g = aligned(np.zeros, (up(M, NARROW_ROWS) if gradient else 0, up(d, VECTOR_BYTES // z.itemsize)), z.dtype)
    if gradient:
        inverse = np.zeros(up(M, NARROW_ROWS), z.dtype)  # tiles read whole rows of it
        inverse[:M] = 1 / Z
        for rows in blocks:
            add_block(z[rows], per_tau, z, c, rows.start, own, room, inverse, g)
        take_positives(z, c, per_tau / kind(M), g)
    return np.log(Z) - score, g[:M, :d]


@kept_jit(**COMPILED)
def sum_block(
    q: NDArray[Any], per_tau: Any, z: NDArray[Any], c: NDArray[Any], first: int, own: Any, room: Room,
    Z: NDArray[Any], score: NDArray[Any],
) -> None:  # fmt: skip
    """What rows q = z[first :] and the keys from them on add to Z (M,), and the scores of positives."""
    widest()
    M, end = len(z), first + len(q)
    load(q, c[first:end], per_tau, room)
    for start, stop in _chunks(first, end, M):
        n, depth = scores(z, c, start, stop, first, M // 2, len(q), own, False, room)
        _sum(n, depth, room)
        if start >= end:
            for j in range(start, stop):
                Z[j] += room.T[j - start].sum()
    for i in range(len(q)):
        Z[first + i] += room.Z[i]
        if first + i < M // 2:
            score[first + i] = score[first + i + M // 2] = room.score[i]


@kept_jit(**COMPILED)
def add_block(
    q: NDArray[Any], per_tau: Any, z: NDArray[Any], c: NDArray[Any], first: int, own: Any, room: Room,
    inverse: NDArray[Any], g: NDArray[Any],
) -> None:  # fmt: skip
    """What rows q = z[first :] and the keys from them on add to g, Σ_j (1/Z_i + 1/Z_j) E_ij k̂_j of all rows; inverse (M,) = 1/Z.

    A block of fewer rows than there is room for is the last one: no later keys read what is left there of the one before.
    """
    widest()
    (M, d), end, R, width = z.shape, first + len(q), len(room.Z), room.W.shape[2]
    load(q, c[first:end], per_tau, room)
    for i in range(len(q)):
        room.Z[i] = inverse[first + i]
        for l in range(d):
            room.W[l // width, i, l % width] = c[first + i] * q[i, l]
    for start, stop in _chunks(first, end, M):
        n, depth = scores(z, c, start, stop, first, M // 2, len(q), own, False, room)
        _weigh(n, depth, inverse[start:], room)
        add_keys(room.E, n, room)
        if start >= end:
            add_product(room.E, R, 1, room.W, R, width, R, g[start : start + n])
    for i in range(len(q)):
        for l in range(d):
            g[first + i, l] += room.G[l, i]


@njit(**COMPILED)
def _chunks(first: int, end: int, M: int) -> list[tuple[int, int]]:
    """(start, stop) of the chunks of keys from a block's first row to its end, and from there to M."""
    own = [(j, min(j + CHUNK, end)) for j in range(first, end, CHUNK)]
    return own + [(j, min(j + CHUNK, M)) for j in range(end, M, CHUNK)]


@njit(**COMPILED)
def _sum(n: int, depth: int, room: Any) -> None:
    """Z_i += Σ_j exp S_ji over n keys, and T the same over the rows."""
    R, stride, (d, width), lanes = len(room.Z), room.K.shape[1], room.U.shape[1:], room.T.shape[1]
    room.T[:] = 0
    for i in range(0, R, width):
        for j in range(0, n, ROWS):
            summed_tile(room.K, j * stride, stride, 1, room.U, i * d, width, depth, room.S, j * R + i, R,
                        room.Z, i, room.T, j * lanes)  # fmt: skip


@njit(**COMPILED)
def _weigh(n: int, depth: int, of_keys: Any, room: Any) -> None:
    """E_ji = exp(S_ji) (1/Z_i + 1/Z_j) of n keys; 1/Z_i in room.Z."""
    R, stride, (d, width) = len(room.Z), room.K.shape[1], room.U.shape[1:]
    for i in range(0, R, width):
        for j in range(0, n, ROWS):
            at = j * R + i
            weighed_tile(room.K, j * stride, stride, 1, room.U, i * d, width, depth, room.S, at, R,
                         room.Z, i, of_keys, j, room.E, at, R)  # fmt: skip


@kept_jit(**COMPILED)
def take_positives(z: NDArray[Any], c: NDArray[Any], share: Any, g: NDArray[Any]) -> None:
    """g_i <- c_i share (g_i - 2 k̂_pos(i))."""
    M, d = z.shape
    for i in range(M):
        at = (i + M // 2) % M
        for l in range(d):
            g[i, l] = c[i] * (share * (g[i, l] - 2 * c[at] * z[at, l]))
