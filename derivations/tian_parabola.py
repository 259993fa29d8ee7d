"""Claims of Tian et al. 2021 about the invariant parabola of a mode, and the sign of its offset as printed."""

from __future__ import annotations

import numpy as np
import sympy as sp

from derivations.assumptions_tian import SOURCE
from derivations.byol_mode_proofs import REDUCTION
from derivations.claim import Claim, Picture, Transfer
from derivations.proof import Step
from derivations.tian_modes import AFTER_ALIGNMENT, EMA_BASE, MODE_VARY, a, alpha_p, eta, modes, p
from dynamics.run import Array, Run

s, tau, t = sp.symbols("s tau t", positive=True)


def parabola(run: Run, sign: float = 1.0, decays: float = 2.0, ratio: bool = True) -> Array:
    """s_j - p_j²/alpha_p - e^{-2 eta t} c_j (R, T, k), c_j = sign (s_j(0) - p_j(0)²/alpha_p); relative to s + p²/alpha_p."""
    tr_ = run.setting.training
    p, s, _ = modes(run)
    square = p**2 / (tr_.alpha_p if ratio else 1.0)
    c = sign * (s - square)[:, :1]
    size = np.maximum.accumulate((s + p**2 / tr_.alpha_p).max(-1, keepdims=True), axis=1)
    return (s - square - np.exp(-decays * tr_.eta * run.t)[:, None] * c) / np.where(size > 0, size, 1.0)


def _parabola_picture(run: Run, sign: float = 1.0) -> Picture:
    tr_ = run.setting.training
    p, s, _ = modes(run)
    offset = s - p**2 / tr_.alpha_p
    return Picture(r"$s_j - p_j^2/\alpha_p$", offset, sign * np.exp(-2 * tr_.eta * run.t)[:, None] * offset[0, :1])


def _parabola_rate(factor: int) -> sp.Expr:
    """d/dt (s - p²/alpha_p) + 2 eta (s - p²/alpha_p) along (11), (12)."""
    dp = alpha_p * s * (tau - a * p) - eta * p
    ds = factor * p * s * (tau - a * p) - 2 * eta * s
    return ds - 2 * p * dp / alpha_p + 2 * eta * (s - p**2 / alpha_p)


PARABOLA_LAW = Claim(
    id="tian-invariant-parabola",
    section="T3.2",
    title="Every mode falls onto an invariant parabola",
    statement=r"s_j(t)=\alpha_p^{-1}p_j^2(t)+e^{-2\eta t}c_j,\qquad c_j=s_j(0)-\alpha_p^{-1}p_j^2(0)",
    source=f"{SOURCE}, section 3.2, (14), with the sign of c_j corrected",
    base=EMA_BASE,
    vary=MODE_VARY,
    states=AFTER_ALIGNMENT,
    residual=parabola,
    mutants={
        "the printed sign of c_j": lambda run: parabola(run, sign=-1.0),
        "e^{-eta t} for e^{-2 eta t}": lambda run: parabola(run, decays=1.0),
        "alpha_p dropped": lambda run: parabola(run, ratio=False),
    },
    proof=(
        REDUCTION,
        Step(
            r"\frac{d}{dt}(s-\alpha_p^{-1}p^2)=-2\eta(s-\alpha_p^{-1}p^2)",
            lambda: _parabola_rate(2),
            lambda: _parabola_rate(1),
        ),
        Step(
            r"c_j=s_j(0)-\alpha_p^{-1}p_j^2(0)\text{ is the solution's value at } t=0",
            lambda: (p**2 / alpha_p + sp.exp(-2 * eta * t) * (s - p**2 / alpha_p)).subs(t, 0) - s,
            lambda: (p**2 / alpha_p + sp.exp(-2 * eta * t) * (p**2 / alpha_p - s)).subs(t, 0) - s,
        ),
    ),
    scope="modes, which aligned starts on isotropic data make exact; the diagonal of Theorem 1",
    picture=_parabola_picture,
    transfer=Transfer(
        deep=("simsiam-mlp",),
        says="across modes the eigenvalues of F rise with the squares of those of P at the end of training",
        gauge=lambda runs: _correlation(runs["simsiam-mlp"]["p"][:, -1] ** 2, runs["simsiam-mlp"]["s"][:, -1]),
    ),
    explains="It is Theorem 1 read on one eigenvector. It holds for any target; without weight decay the offset c_j "
    "is kept for ever and the final spectrum remembers the start.",
)
PARABOLA_SIGN = Claim(
    id="tian-parabola-sign",
    section="T3.2",
    title="The offset of the parabola as printed",
    statement=r"s_j(t)=\alpha_p^{-1}p_j^2(t)+e^{-2\eta t}c_j,\qquad c_j=\alpha_p^{-1}p_j^2(0)-s_j(0)",
    source=f"{SOURCE}, section 3.2, the line below (14)",
    base=EMA_BASE,
    vary=MODE_VARY,
    states=AFTER_ALIGNMENT,
    residual=lambda run: parabola(run, sign=-1.0),
    mutants={"alpha_p dropped too": lambda run: parabola(run, sign=-1.0, ratio=False)},
    corrected_by="tian-invariant-parabola",
    picture=lambda run: _parabola_picture(run, sign=-1.0),
    explains="At t = 0 the printed line reads s = 2 p²/alpha_p - s, so it contradicts its own start unless c_j = 0. "
    "The sign of c_j decides which side of the parabola a mode is on, hence which basin it is in.",
)


def _correlation(x: Array, y: Array) -> Array:
    """Pearson's r over the last axis (R,); 0 where either is constant."""
    x, y = x - x.mean(-1, keepdims=True), y - y.mean(-1, keepdims=True)
    size = np.linalg.norm(x, axis=-1) * np.linalg.norm(y, axis=-1)
    return (x * y).sum(-1) / np.where(size > 0, size, 1.0)


CLAIMS: tuple[Claim, ...] = (PARABOLA_LAW, PARABOLA_SIGN)
