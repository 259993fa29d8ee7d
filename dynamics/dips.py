"""Weights that fall to where atol, not rtol, rules their error, and grow again: whether they can, and whether they did.

From p > c/a a mode of the predictor flow falls by e^{-(a p/c - 1)² c²/2a eta_p} while P decays to c/a, then grows by up to
e^{c²/2a eta_p}: by this grows, too, the error of atol that was made at the bottom.

Letters: W (T, k, d), P (T, k, k), V (T, k, d) over times; sizes (T, min(k, d)), the singular values of W and V side by side.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dynamics.run import Array
from dynamics.setting import Setting
from dynamics.solver import ATOL, RTOL
from dynamics.stacked import Stacked

LAW = 1e3 * RTOL  # of the flow rung, for weights of order one
LOOKS = 64  # within the time that P takes to fall: a bottom is seen to a hundredth of its exponent
FOLLOWED = 1e-150  # an atol that leaves all to rtol; over it a weight's velocity is a number still, and its square
TINY = FOLLOWED / LAW  # of a weight: below, that atol rules it
ROUNDING = float(np.finfo(float).eps)


def growth(problem: Stacked, i: int, setting: Setting) -> float:
    """The exponent by which a weight of member i that fell can grow at most; 0 if it cannot take an error of ATOL to LAW.

    W' = Pᵀ(V Cᵀ - P W A) grows at a rate of g = ‖Cᵀ A⁺ C‖/4 at most, and while P falls as e^{-eta_p t} by 2 g/eta_p in all.
    Without stop-gradient of an online target, or where P does not decay, nothing that fell grows again.
    """
    o, t_end, eta_p = setting.objective, setting.training.t_end, float(problem.eta_p[i, 0, 0])
    learned = (
        o.loss == "predictor" and o.predictor in ("linear", "symmetric") and (o.stop_gradient or o.target == "ema")
    )
    if not learned or eta_p == 0:
        return 0.0
    span, least = min(t_end, 2 / eta_p), np.log(LAW / ATOL)
    if np.trace(problem.B[i]) / 4 * span < least:  # Cᵀ A⁺ C is B at most
        return 0.0
    exponent = float(np.linalg.norm(problem.roots[1][i], 2)) ** 2 / 4 * span
    return exponent if exponent >= least else 0.0


def end(problem: Stacked, i: int, P0: Array, t_end: float) -> float:
    """The time by which P C of member i, from P0, is below eta_p, which is not 0: its dips lie before; t_end at most."""
    eta_p = float(problem.eta_p[i, 0, 0])
    size = float(np.linalg.norm(P0)) * float(np.linalg.norm(problem.C[i]))
    return min(t_end, float(np.log1p(size / eta_p)) / eta_p)


def looks(ends: Sequence[float]) -> Array:
    """Times at which dips of members with these ends are seen: each time t by steps of t/LOOKS, or of the first end's."""
    moving = [end for end in ends if end] or [0.0]  # P = 0 has nothing to lose
    first, last = min(moving), max(moving)
    early = np.linspace(0.0, first, LOOKS)
    if first == last:
        return early
    return np.append(early, np.geomspace(first, last, 1 + int(np.ceil(LOOKS * np.log(last / first)))))


def lost(W: Array, V: Array, atol: float) -> bool:
    """Whether a singular value that counts grew so much, from the least that it had been, that an error of atol there became LAW."""
    sizes = _sizes(W, V)
    return bool((_counts(sizes) & (sizes * atol > LAW * np.minimum.accumulate(sizes, axis=0))).any())


def faint(W: Array, atol: float) -> bool:
    """Whether W (T, n) that started as more than 0 falls to where an error of atol is more than LAW of it."""
    sizes = np.linalg.norm(W, axis=1)
    return bool(sizes[0] > 0 and sizes.min() * LAW < atol)


def blurred(W: Array, P: Array, V: Array, exponent: float) -> bool:
    """Whether, with an atol of FOLLOWED, rounding of the largest weights did the same to one beside them, or one fell below TINY
    that may return by e^exponent. Weights of which no two share a row or a column have no part in each other's rounding."""
    sizes = _sizes(W, V)
    if sizes.min() < TINY and exponent + np.log(TINY) > np.log(LAW):
        return True
    patterns = [(X != 0).any(0) for X in (np.concatenate([W, V]), P)]
    if all(M.sum(axis).max() <= 1 for M in patterns for axis in (0, 1)):
        return False
    share = np.maximum.accumulate(ROUNDING * sizes[:, :1] / np.maximum(sizes, TINY), axis=0)
    return bool((_counts(sizes) & (share * sizes > LAW * sizes[:, :1])).any())


def _counts(sizes: Array) -> NDArray[np.bool_]:
    """Which are more than LAW of the largest of their time and of the start: of what is less, noise may be all."""
    return sizes > LAW * np.maximum(sizes[:, :1], sizes[0, 0])


def _sizes(W: Array, V: Array) -> Array:
    k, d = W.shape[-2:]
    both = W if np.array_equal(W, V) else np.concatenate([W, V], axis=-1 if k <= d else -2)
    return np.asarray(np.linalg.svd(both, compute_uv=False), dtype=float)
