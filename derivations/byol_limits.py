"""The note's section 3.3: where the predictor flow ends, and whether it collapses there."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from derivations.assumption import Assumption, Interval, Spectrum
from derivations.byol_common import LONG, PREDICTORS, STRONG, moments_of
from derivations.byol_mode_proofs import APPROACH, BALANCE, EIGENVALUE, PARABOLA_SPEED, REDUCTION
from derivations.claim import Claim, Picture, Transfer
from derivations.common import (
    COMMUTE,
    EQUAL_RATES,
    FULL_C,
    NO_DECAY,
    NOTE,
    ONLINE,
    POSITIVE_C,
    ROTATIONS,
    STARTS,
    norm,
    relative,
)
from dynamics.observe import singular_values
from dynamics.run import Array, Run
from dynamics.setting import Setting
from dynamics.views import moments

SQUARE = Assumption(
    "k-at-least-d",
    "the encoder has at least as many outputs as the data has dimensions",
    where=lambda s: s.network.k >= len(s.get("views.signal")),
)
PARABOLA = Assumption(
    "balanced-aligned-start",
    "W(0) has full rank, P(0) is positive definite on its range and shares eigenvectors with A and C, WWᵀ = PᵀP/alpha_p",
    {"network.start": ("parabola",), "network.w0": Interval(0.2, 1.2)},
)
SYMMETRIC_C = Assumption("symmetric-C", "C is symmetric, as exchangeable views make it", {"views.twist": (0.0,)})


def rate(setting: Setting) -> float:
    """Slowest rate c²/a at which a mode on the parabola settles at p+ = c/a (commuting A, C; no decay)."""
    m = moments(setting)
    a, c = np.diag(m.A), np.diag(m.C)
    return float(np.min(np.where(c > 0, c**2 / np.where(a > 0, a, 1.0), np.inf)))


def late(setting: Setting) -> float:
    """e^{-r T/4}, r the `rate`: what the limits here may still lack at T, and what 3T/4 and T may differ by."""
    return float(np.exp(-rate(setting) * setting.training.t_end / 4))


def gram_limit(run: Run, power: int = 2) -> Array:
    """WᵀW(T) - (CᵀA⁻¹)ᵖ, relative; power 2 is the note's CᵀA⁻¹CA⁻¹ for symmetric C that commutes with A."""
    A, _, C = moments_of(run)
    inverse = np.linalg.inv(A)
    claimed = C.T @ inverse @ C @ inverse if power == 2 else np.linalg.matrix_power(C.T @ inverse, power)
    gram = (run["W"].mT @ run["W"])[:, -1:]
    return relative(gram - claimed, gram, np.broadcast_to(claimed, gram.shape))


def gram_picture(run: Run) -> Picture:
    """Eigenvalues of WᵀW, beside those of CᵀA⁻¹CA⁻¹ that the claim says they tend to."""
    A, _, C = moments_of(run)
    limit = np.sort(np.abs(np.linalg.eigvals(C.T @ np.linalg.inv(A) @ C @ np.linalg.inv(A))))[::-1]
    sigma = singular_values(run["W"]) ** 2
    limit = np.pad(limit, (0, max(0, sigma.shape[-1] - len(limit))))[: sigma.shape[-1]]
    return Picture("eigenvalues of WᵀW", sigma, np.broadcast_to(limit, sigma.shape[1:]))


def rank_loss(run: Run) -> Array:
    """1 - σ_d(W(T)) / σ_d(W(3T/4)): 0 where the smallest of d singular values settles, 1 where it vanishes or W has
    fewer than d of them."""
    sigma = singular_values(run["W"])
    d = run["W"].shape[-1]
    if sigma.shape[-1] < d:
        return np.ones((len(sigma), 1))
    return _settled(sigma[:, :, d - 1], run)


def _rank_picture(run: Run) -> Picture:
    """All d singular values, those that an encoder with k < d outputs lacks as 0."""
    sigma = singular_values(run["W"])
    lacking = run["W"].shape[-1] - sigma.shape[-1]
    sigma = np.pad(sigma, ((0, 0), (0, 0), (0, lacking)))
    return Picture("the d singular values of W\n(none claimed to vanish)", sigma)


def complete_loss(run: Run) -> Array:
    """1 - σ_1(W(T)) / σ_1(W(3T/4)): 1 only where all of W vanishes."""
    return _settled(singular_values(run["W"])[:, :, 0], run)


def _settled(sigma: Array, run: Run) -> Array:
    earlier = sigma[:, 3 * (len(run.t) - 1) // 4]
    return (1 - sigma[:, -1] / np.where(earlier > 1e-12, earlier, np.inf))[:, None]


def motion(run: Run) -> Array:
    """(R, T) t ‖(dW, dP)(t)‖ / max ‖(W, P)‖: tends to 0 where the flow settles, even as slowly as 1/t; grows with t where it
    drifts or cycles."""
    speed = np.sqrt(norm(run["dW"]) ** 2 + norm(run["dP"]) ** 2)
    size = np.sqrt(norm(run["W"]) ** 2 + norm(run["P"]) ** 2).max(1, keepdims=True)
    return run.t * speed / size


def unsettled(run: Run) -> Array:
    """`motion` at the last time."""
    return motion(run)[:, -1:]


SETTLES = (REDUCTION, BALANCE, PARABOLA_SPEED, APPROACH)


def kept_beside(reference: str, other: str) -> Callable[[Mapping[str, Run]], Array]:
    """Gauge: log(variance kept by `reference` / by `other`), each relative to its start, per seed."""

    def gauge(runs: Mapping[str, Run]) -> Array:
        kept = {n: np.log((runs[n]["variance"][:, -1] + 1e-30) / runs[n]["variance"][:, 0]) for n in (reference, other)}
        return kept[reference] - kept[other]

    return gauge


BALANCED = LONG.replace(network__start="parabola", network__w0=1.0, network__p0=0.5)
NEEDS_FULL = (PARABOLA, COMMUTE, POSITIVE_C, ONLINE, SQUARE)
WIDE = {  # scales of the start begin at 1: small ones hide the offset of the balance that they leave
    **STRONG,
    **ROTATIONS,
    **STARTS,
    **PREDICTORS,
    "network.w0": (1.0, 0.5, 1.2, 0.2),
    "network.p0": (0.5, 1.0, 0.2, 1.2),
    "network.start": ("generic", "parabola"),
    "objective.target": ("online", "ema"),
}
CLAIMS = (
    Claim(
        "byol-fixed-point",
        "3.3",
        "The system converges to WᵀW = CᵀA⁻¹CA⁻¹",
        r"W^\top W = C^\top A^{-1}CA^{-1}",
        NOTE + "3.3",
        base=BALANCED,
        vary=WIDE,
        states=(NO_DECAY, FULL_C),
        needs=(*NEEDS_FULL, EQUAL_RATES),
        rungs=("flow", "descent"),
        residual=gram_limit,
        slack=late,
        mutants={"CᵀA⁻¹ instead": lambda r: gram_limit(r, 1), "its cube": lambda r: gram_limit(r, 3)},
        proof=(*SETTLES, EIGENVALUE),
        scope="modes, which the balanced aligned start and commuting A and C make exact; alpha_p = 1, k >= d",
        picture=gram_picture,
        corrected_by="byol-aligned-limit",
        explains="The stationary points without decay form a whole manifold PWA = WCᵀ; which one is reached is set by the "
        "conserved WWᵀ - PᵀP/alpha_p. The note's formula is the one point with balanced, aligned start and equal rates.",
    ),
    Claim(
        "byol-no-collapse",
        "3.3",
        "If C has full rank, WᵀW keeps full rank: neither complete nor dimensional collapse",
        r"\mathrm{rank}\,C = d \Rightarrow \mathrm{rank}\,W^\top W = d",
        NOTE + "3.3",
        base=BALANCED,
        vary=WIDE,
        states=(NO_DECAY, FULL_C),
        needs=NEEDS_FULL,
        rungs=("flow", "descent"),
        residual=rank_loss,
        bound=True,
        slack=late,
        mutants={"the smallest singular value vanishes": lambda r: 1 - rank_loss(r)},
        proof=SETTLES,
        scope="modes, which the balanced aligned start and commuting A and C make exact",
        corrected_by="byol-aligned-limit",
        picture=_rank_picture,
        explains="Full rank of C is not enough: an encoder with k < d outputs has no rank d, and a start with P(0) negative "
        "or too large beyond W(0) lies in the basin of collapse even without weight decay.",
        transfer=Transfer(
            ("simsiam-mlp", "simsiam-mlp-no-predictor"),
            "with a predictor the deep embedding keeps more of its variance than without: log ratio",
            kept_beside("simsiam-mlp", "simsiam-mlp-no-predictor"),
        ),
    ),
    Claim(
        "byol-convergence",
        "3.3",
        "The system converges",
        r"(W, P)(t) \to \text{a limit}",
        NOTE + "3.3",
        base=LONG.replace(training__t_end=400.0),
        # one input is isotropic data, on which the speed of every start tends to 0 by byol-stationary-product
        vary={**STRONG, "d": (2, 3), "views.noise": Spectrum(0.25, 0.75), **ROTATIONS, **STARTS},
        states=(NO_DECAY, FULL_C),
        needs=(SYMMETRIC_C,),
        rungs=("flow",),
        residual=unsettled,
        slack=lambda s: 0.05,
        mutants={"it keeps moving at unit speed": lambda r: unsettled(r) - 1.0},
        picture=lambda run: Picture(
            r"$t\,\|(\dot W, \dot P)\|\,/\,\|(W, P)\|$", motion(run)[..., None], np.zeros((len(run.t), 1))
        ),
        corrected_by="byol-bounded",
        explains="Views that turn the signal make C non-symmetric, and then an encoder with fewer outputs than the turn needs follows "
        "it for ever, as does one that has lost them on its way (byol-turning). For symmetric C convergence is not proved either: with a stop-gradient the flow is no "
        "gradient of a function, and for general moments we know none that falls along every trajectory. On isotropic data "
        "there is one (byol-stationary-product), on aligned modes each mode has its own (byol-aligned-limit).",
    ),
    Claim(
        "byol-three-conditions",
        "3.3",
        "Predictor, stop-gradient and full-rank C together prevent collapse",
        r"P,\ \mathrm{sg},\ \mathrm{rank}\,C = d \Rightarrow W \not\to 0",
        NOTE + "3.3",
        base=BALANCED,
        vary=WIDE,
        states=(NO_DECAY, FULL_C),
        needs=(PARABOLA, COMMUTE, POSITIVE_C, ONLINE),
        rungs=("flow", "descent"),
        residual=complete_loss,
        bound=True,
        slack=late,
        mutants={"the largest singular value vanishes": lambda r: 1 - complete_loss(r)},
        proof=SETTLES,
        scope="modes, which the balanced aligned start and commuting A and C make exact",
        corrected_by="byol-survival",
        picture=lambda run: Picture("singular values of W\n(claimed not all to vanish)", singular_values(run["W"])),
        explains="A start in the basin of collapse, with P(0) negative or too large beyond W(0), collapses the encoder with all "
        "three conditions in place (byol-aligned-limit says where each mode ends). So does weight decay, which the note's flow "
        "has not, beyond c²/4a, and below it the basin grows.",
        transfer=Transfer(
            ("simsiam-mlp", "simsiam-mlp-strong-decay"),
            "with strong weight decay the deep embedding collapses although all three conditions hold: log ratio of kept variance",
            kept_beside("simsiam-mlp", "simsiam-mlp-strong-decay"),
        ),
    ),
)
