"""Three kinds of claim beyond flows: an identity on embeddings, a limit over settings, value and Hessian at a point."""

from __future__ import annotations

import numpy as np
import sympy as sp

from derivations.algebra import T, matrix, tr
from derivations.assumption import Assumption
from derivations.claim import Claim, Picture
from derivations.common import NOTE
from derivations.contrastive_proofs import SADDLE, WANG_ISOLA
from derivations.proof import Step
from dynamics.run import Array, Run
from dynamics.setting import Objective, PointViews, Setting

NEGATIVES = (16, 32, 64, 128)
POINTS = Setting(views=PointViews(n=3), objective=Objective(loss="info_nce", temperature=1.0))
COLLAPSED = Setting(views=PointViews(n=4, scatter=0.0, spread=0.0), objective=Objective(loss="nt_xent"))
AT_COLLAPSE = {
    "views.n": (2, 3, 4, 6),
    "views.d": (2, 3, 4),
    "objective.temperature": (0.5, 0.1, 1.0),
    "seed": tuple(range(4)),
}
ROOM = Assumption(
    "two-dimensions",
    "the embeddings lie in d >= 2 dimensions: with one no direction leaves a unit vector, and the loss is flat there",
    where=lambda s: s.get("views.d") >= 2,
)
SLOPE = 0.1  # a 1/K law read off K and 2K at these K has order 1 to within O(1/K), here below 0.1


def unit_identity(run: Run, half: float = 0.5) -> Array:
    """f·f⁺ - (1 - ½‖f - f⁺‖²)."""
    z, y = run["z"], run["z_plus"]
    return (z * y).sum(-1) - 1 + half * ((z - y) ** 2).sum(-1)


def _limit(run: Run, paper: bool) -> Array:
    """(R,) the K -> infinity limit of L - log K: Wang & Isola's, or the note's."""
    z, y, tau = run["z"][:, 0], run["z_plus"][:, 0], run.setting.objective.temperature
    align = ((z - y) ** 2).sum(-1).mean(-1)
    square = ((z[:, :, None] - y[:, None]) ** 2).sum(-1)  # (R, negative, anchor)
    if paper:
        return align / (2 * tau) + np.log(np.exp(-square / (2 * tau)).mean(1)).mean(-1)
    return align + np.log(np.exp(-square / (2 * tau**2)).mean((1, 2)))


def _gaps(paper: bool, *runs: Run) -> Array:
    """(R, n) L_K - log K - limit along the sequence of K."""
    return np.stack([r["loss"][:, 0] - np.log(r.setting.objective.negatives) - _limit(r, paper) for r in runs], 1)


def order_defect(*runs: Run, paper: bool = True, order: float = 1.0) -> Array:
    """(R, 1) what the order in 1/K of |L_K - log K - limit|, read off the last doubling of K, lacks of `order`; a wrong limit
    leaves a constant, of order 0."""
    gaps = np.abs(_gaps(paper, *runs))
    return (order - np.log2(gaps[:, -2] / gaps[:, -1]))[:, None]


def limit_picture(*runs: Run, paper: bool = True) -> Picture:
    """L_K - log K over K, beside the limit claimed."""
    gap = np.stack([r["loss"][:, 0] - np.log(r.setting.objective.negatives) for r in runs], 1)[..., None]
    claimed = np.full((len(runs), 1), _limit(runs[0], paper)[0])
    return Picture("L - log K", gap, claimed, xlabel="negatives K")


def collapse_value(run: Run, missing: int = 1) -> Array:
    """L - log(2N - 1)."""
    n = run["z"].shape[-2]
    return run["loss"] - np.log(2 * n - missing)


def gradient_vanishes(run: Run) -> Array:
    """1 if the gradient at collapse is 0, where the note says that it breaks collapse; 0 else."""
    return (np.linalg.norm(run["gradient"].reshape(run.replicas, -1), axis=-1) <= 1e-10).astype(float)[:, None]


def saddle(run: Run, factor: float = 2.0) -> Array:
    """(R, 2): the norm of the gradient, and λ_min(Hessian) + factor / (τ (2N-1)); both 0 at complete collapse, |c| = 1."""
    n, tau = run["z"].shape[-2], run.setting.objective.temperature
    gradient = np.linalg.norm(run["gradient"].reshape(run.replicas, -1), axis=-1)
    lowest = run["hessian_eigenvalues"].reshape(run.replicas, -1).min(-1)
    return np.stack([gradient, lowest + factor / (tau * (2 * n - 1))], 1)


def _identity(half: sp.Expr) -> sp.Expr:
    f, g = matrix("f"), matrix("g")
    one = sp.Symbol("one")
    expr = tr(f * T(g)) - one + half * tr((f - g) * T(f - g))
    return sp.expand(expr.subs({tr(f * T(f)): one, tr(g * T(g)): one}))


def _log_value(extra: int) -> sp.Expr:
    n, s, tau = sp.symbols("N s tau", positive=True)
    return sp.expand_log(
        -sp.log(sp.exp(s / tau) / ((2 * n - 1 + extra) * sp.exp(s / tau))) - sp.log(2 * n - 1), force=True
    )


def _value_positive(least: int) -> bool:
    """log(2N - 1) > 0 for every N = least + j, j >= 0."""
    j = sp.Symbol("j", nonnegative=True)
    return bool(sp.log(2 * (least + j) - 1).is_positive)


VALUE = Step(r"-\log\frac{e^{s/\tau}}{(2N-1)e^{s/\tau}} = \log(2N-1)", lambda: _log_value(0), lambda: _log_value(1))
POSITIVE = Step(r"\log(2N-1) > 0 \text{ for } N \ge 2", lambda: _value_positive(2), lambda: _value_positive(1))
CLAIMS = (
    Claim(
        "unit-vector-identity",
        "2.2",
        "Dot product and distance of unit vectors",
        r"f^\top f^+ = 1 - \tfrac12\|f-f^+\|^2",
        NOTE + "2.2",
        base=POINTS.replace(views__d=2),
        vary={"views.n": (2, 3), "views.d": (1, 2, 5), "views.spread": (0.5, 0.0, 3.0), "seed": tuple(range(16))},
        rungs=("exact",),
        residual=unit_identity,
        mutants={"without the half": lambda r: unit_identity(r, 1.0)},
        proof=(
            Step(
                r"\|f-g\|^2 = \|f\|^2 + \|g\|^2 - 2f^\top g \text{ with } \|f\| = \|g\| = 1",
                lambda: _identity(sp.Rational(1, 2)),
                lambda: _identity(sp.Integer(1)),
            ),
        ),
        scope="all dimensions",
    ),
    Claim(
        "alignment-uniformity-limit",
        "2.2",
        "As K grows, InfoNCE splits into alignment plus uniformity (the note's weights)",
        r"\mathcal L - \log K \to \mathrm E\|f-f^+\|^2 + \log\mathrm E\,e^{-\|f(x)-f(y)\|^2/2\tau^2}",
        NOTE + "2.2",
        base=POINTS,
        vary={"views.d": (2, 3), "objective.temperature": (1.0, 0.5, 2.0), "seed": tuple(range(8))},
        rungs=("exact",),
        residual=lambda *runs: order_defect(*runs, paper=False),
        bound=True,
        slack=lambda s: SLOPE,
        along=("objective.negatives", NEGATIVES),
        corrected_by="wang-isola-limit",
        picture=lambda *r: limit_picture(*r, paper=False),
        explains="Alignment carries 1/(2 tau), the uniformity exponent is 1/(2 tau) (not 1/(2 tau²)), and the logarithm stands "
        "inside the expectation over the anchor. The three agree with the truth at no tau.",
    ),
    Claim(
        "wang-isola-limit",
        "2.2",
        "As K grows, InfoNCE splits into alignment plus uniformity, up to 1/K (Wang & Isola, Theorem 1)",
        r"\mathcal L - \log K = \tfrac1{2\tau}\mathrm E\|f-f^+\|^2 + \mathrm E_y\log\mathrm E_x e^{-\|f(x)-f(y)\|^2/2\tau} "
        r"+ O(\tfrac1K)",
        "Wang & Isola 2020, Theorem 1; corrects alignment-uniformity-limit",
        base=POINTS,
        vary={"views.d": (2, 3), "objective.temperature": (1.0, 0.5, 2.0), "seed": tuple(range(8))},
        rungs=("exact",),
        residual=order_defect,
        bound=True,
        slack=lambda s: SLOPE,
        along=("objective.negatives", NEGATIVES),
        mutants={
            "order 2": lambda *r: order_defect(*r, order=2.0),
            "the note's weights": lambda *r: order_defect(*r, paper=False),
        },
        proof=WANG_ISOLA,
        scope="any law of unit vectors, any tau > 0",
        picture=limit_picture,
        explains="The theorem's limit with its rate. The numbers read the order in 1/K of what is left off the last doubling of K: "
        "at least 1 where the limit is right, 0 beside any other.",
    ),
    Claim(
        "simclr-collapse-value",
        "4.1",
        "NT-Xent at collapse is log(2N-1)",
        r"-\log\tfrac1{2N-1} > 0,\quad N \ge 2",
        NOTE + "4.1",
        base=COLLAPSED,
        vary=AT_COLLAPSE,
        rungs=("descent",),
        residual=collapse_value,
        mutants={"log 2N": lambda r: collapse_value(r, 0)},
        proof=(VALUE, POSITIVE),
        scope="any N >= 2, any tau",
    ),
    Claim(
        "simclr-collapse-gradient",
        "4.1",
        "The positive loss at collapse generates gradients that break collapse",
        r"\nabla\mathcal L \ne 0 \text{ at } z_i = c",
        NOTE + "4.1",
        base=COLLAPSED,
        vary=AT_COLLAPSE,
        rungs=("descent",),
        residual=gradient_vanishes,
        corrected_by="simclr-collapse-saddle",
        explains="At equal points every derivative of a cosine similarity is (I - zzᵀ)z = 0, so the gradient vanishes however "
        "large the loss is. Collapse is left along the negative curvature of the Hessian, not by a gradient.",
    ),
    Claim(
        "simclr-collapse-saddle",
        "4.1",
        "Complete collapse is a saddle of NT-Xent: zero gradient, lowest curvature -2/(tau(2N-1))",
        r"z_i = c \in \mathbb R^d,\ \|c\| = 1,\ d \ge 2,\ i \le 2N,\ N \ge 2:\quad \nabla\mathcal L = 0,\quad \lambda_{min}(\nabla^2\mathcal L) = -\tfrac{2}{\tau(2N-1)}",
        "corrects simclr-collapse-gradient",
        base=COLLAPSED,
        vary={**AT_COLLAPSE, "views.d": (2, 1, 3, 4)},
        states=(ROOM,),
        rungs=("descent",),
        residual=saddle,
        mutants={"half the curvature": lambda r: saddle(r, 1.0)},
        proof=SADDLE,
        scope="any N >= 2, tau > 0, d >= 2: the Hessian in the embeddings, for all directions; at |c| = 1, else over |c|²",
    ),
)
