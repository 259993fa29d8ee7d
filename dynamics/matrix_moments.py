"""The moments of a matrix flow in a basis of the inputs in which its products are cheapest."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dynamics.matrix_input import FlowError, members
from dynamics.run import Array

SAME = 1e-12  # of its norm: how far A may be from symmetric
ROUNDING = 2e-14  # of the largest entry: 100 ulp; rotations into the common basis leave 60 at d = 16 (random spectra)


@dataclass(frozen=True)
class Moments:
    """A = U diag(a) Uᵀ and C in that basis U: its diagonal c (1 or B, d), and all of it, C (…, d, d), unless it is diagonal.
    Of a flow without stop-gradient B = E[x⁺x⁺ᵀ] too, behind C: c (…, 2 d) and C (…, 2 d, d).

    A member's matrices count as commuting, and its C as diagonal, if what lies off all diagonals is within ROUNDING of their
    largest entries: more could seed a mode that grows to order one. Beside members that do not commute its C has all entries,
    and is diagonal still: who its neighbours are makes a difference of rounding.
    """

    basis: Array
    a: Array
    c: Array
    C: Array

    @staticmethod
    def of(A: Array, C: Array, size: int, d: int, B: Array | None = None) -> Moments:
        """Of `size` members. Raises FlowError."""
        given = {"A": A, "C": C} | ({} if B is None else {"B": B})
        A, *others = np.broadcast_arrays(*(_moment(name, M, size, d) for name, M in given.items()))
        shared = _shared_basis(A, others[0])
        a, *seen = (shared.mT @ M @ shared for M in (A, *others))
        commute = np.logical_and.reduce([_diagonal(M) for M in (a, *seen)])
        if commute.all():
            c = np.concatenate([_diag(M) for M in seen], 1)
            return Moments(shared, _diag(a), c, np.zeros((*c.shape, 0)))
        values, U = np.linalg.eigh(A)
        values, U = np.where(commute[:, None], _diag(a), values), np.where(commute[:, None, None], shared, U)
        turned = [
            np.where(commute[:, None, None], X - off_diagonal(X), U.mT @ M @ U)
            for X, M in zip(seen, others, strict=True)
        ]
        return Moments(U, values, np.concatenate([_diag(M) for M in turned], 1), np.concatenate(turned, 1))


def _moment(name: str, value: Array, size: int, d: int) -> Array:
    """A, B or C (1 or size, d, d), finite; A and B symmetric. Raises FlowError."""
    M = members(name, value)
    if M.shape not in ((1, d, d), (size, d, d)) or not np.isfinite(M).all():
        shape = M.shape if len(M) > 1 else M.shape[1:]
        raise FlowError(
            f"{name} has shape {shape}: give a finite ({d}, {d}) matrix, or one a member ({size}, {d}, {d})"
        )
    if name != "C" and (np.abs(M - M.mT) > SAME * np.linalg.norm(M, axis=(1, 2), keepdims=True)).any():
        what = "A = E[x xᵀ]" if name == "A" else "B = E[x⁺x⁺ᵀ]"
        raise FlowError(f"{what} must be symmetric: pass ({name} + {name}ᵀ)/2")
    return M


def _shared_basis(A: Array, C: Array) -> Array:
    """Eigenvectors (..., d, d) of A + √2 C: where the two commute, of both.

    Close eigenvalues of the sum leave its vectors turned into each other by far more than rounding, though A or C tells
    them apart: `turns` takes both off-diagonals back to rounding.
    """
    both = A, (C + C.mT) / 2
    U = np.linalg.eigh(both[1] + A / np.sqrt(2))[1]
    seen = [U.mT @ M @ U for M in both]
    return U - U @ turns([(M + M.mT) / 2 for M in seen])  # symmetric to the bit, else the turns are no rotations


def turns(seen: list[Array]) -> Array:
    """K (..., d, d), -K its transpose, of one least-squares rotation of each pair, of first order: U - U K makes symmetric
    matrices, `seen` in the basis U, diagonal."""
    gaps = [_diag(M)[..., :, None] - _diag(M)[..., None, :] for M in seen]
    square = sum(gap**2 for gap in gaps)
    turn = sum(M * gap for M, gap in zip(seen, gaps, strict=True)) / np.where(square > 0, square, 1.0)
    return np.where(np.abs(turn) < 1e-8, turn, 0.0)  # 1e-8: its square, which this leaves out, is rounding


def _diagonal(M: Array) -> NDArray[np.bool_]:
    """Whether the off-diagonal entries of each M (B, d, d) are rounding against its own largest (B,)."""
    return np.abs(off_diagonal(M)).max((1, 2)) <= ROUNDING * np.abs(M).max((1, 2))


def off_diagonal(M: Array) -> Array:
    """M (..., n, m) with its diagonal set to 0."""
    off = M.copy()
    i = range(min(M.shape[-2:]))
    off[..., i, i] = 0
    return off


def _diag(M: Array) -> Array:
    return np.ascontiguousarray(np.diagonal(M, axis1=-2, axis2=-1))
