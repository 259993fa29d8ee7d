"""A claim of Tian et al. 2021 corrected: on the ray w = p = v the origin repels one side and attracts the other."""

from __future__ import annotations

import numpy as np
import sympy as sp

from derivations.assumption import Assumption
from derivations.assumptions_tian import SOURCE, STOP_GRADIENT, a_of
from derivations.byol_mode_proofs import MODE_P, MODE_W, REDUCTION, a, alpha, c, p, w
from derivations.claim import Claim, Picture
from derivations.common import EQUAL_RATES, NO_DECAY, ONLINE
from derivations.proof import Step
from dynamics.run import Array, Run
from dynamics.setting import GaussianViews, Network, Objective, Setting, Training
from dynamics.start import start
from dynamics.views import moments

RAY = Setting(
    GaussianViews(signal=(1.0,), noise=(0.25,)),
    Network(k=1, start="aligned", w0=0.2),
    Objective(),
    Training(t_end=20.0, points=11, lr=0.05),
)
_w0 = float(abs(start(RAY)[0][0, 0])) / RAY.network.w0  # w(0) of an aligned start is this times its scale
WIDTHS = (0.2, 0.1, 0.4, 0.8)
ON_RAY = Assumption(
    "on the ray w = p = v",
    "one mode with |w(0)| = |p(0)|; the sign of w is a choice of axis, that of p is not",
    where=lambda s: bool(abs(abs(start(s)[0][0, 0]) - abs(s.network.p0)) < 1e-12),
)


def ray(run: Run, theory: str = "half-unstable", faster: float = 1.0) -> Array:
    """Violations (R, T, 3) relative to x(0), x = |p|: two bounds on x, and |x - |w||; the upper one made faster by that factor.

    p(0) < 0: x0/(1 + (c + a x0) x0 t) <= x <= x0/(1 + c x0 t).  p(0) > 0: x >= min(x0, c/a), x >= 0.
    """
    mo, P, W = moments(run.setting), run["P"][..., 0, 0], run["W"][..., 0, 0]
    a_, c_, x = mo.A[0, 0], mo.C[0, 0], np.sign(P[:, :1]) * P
    x0 = x[:, :1]
    if theory == "exponential":
        bounds = (x - x0 * np.exp(-run.t), -x)
    elif theory == "unstable" or run.setting.network.p0 > 0:
        bounds = (np.minimum(x0, c_ / a_) - x, -x)
    else:
        bounds = (x - x0 / (1 + faster * c_ * x0 * run.t), x0 / (1 + (c_ + a_ * x0) * x0 * run.t) - x)
    return np.stack([*bounds, np.abs(x - np.abs(W))], -1) / x0[..., None]


def _ray_picture(run: Run) -> Picture:
    x = np.abs(run["P"][..., 0, :])
    x0, c_ = x[:, :1], moments(run.setting).C[0, 0]
    bound = (
        x0 / (1 + c_ * x0 * run.t[:, None]) if run.setting.network.p0 < 0 else np.minimum(x0, c_ / a_of(run.setting))
    )
    return Picture("|p| and its bound", x, np.broadcast_to(bound[0], x.shape[1:]), log=True)


def _on_ray(sign: int) -> bool:
    """p = -x, w = x, alpha_p = 1: x' = -x²(c + a x) from both."""
    x = sp.Symbol("x", positive=True)
    at = {p: -x, w: x, alpha: 1}
    speed = -(x**2) * (c + sign * a * x)
    return sp.expand(-MODE_P.subs(at) - speed) == 0 and sp.expand(MODE_W.subs(at) - speed) == 0


def _comparison(factor: int) -> sp.Expr:
    """y = x0/(1 + q x0 t) solves y' = -q y²; q = c and q = c + a x0 enclose c + a x, since 0 < x <= x0."""
    x0, q, t = sp.symbols("x0 q t", positive=True)
    y = x0 / (1 + q * x0 * t)
    return sp.simplify(sp.diff(y, t) + factor * q * y**2)


def _leaves(side: int) -> bool:
    """On p = w > 0, alpha_p = 1: p' = p²(c - a p) > 0 below c/a, written p = (c/a)/(1 + q)."""
    q = sp.Symbol("q", positive=True)
    speed = MODE_P.subs({w: p, alpha: 1}).subs(p, c / (a * (1 + q)))
    return bool(sp.simplify(side * speed).is_positive)


ORIGIN = Claim(
    id="tian-origin-half-unstable",
    section="TD",
    title="On the ray w = p = v the origin repels one side and attracts the other, as slowly as 1/t",
    statement=r"p(0)<0:\ \frac{x_0}{1+(c+ax_0)x_0t}\le|p|=|w|\le\frac{x_0}{1+cx_0t};\qquad p(0)>0:\ p\ge\min(p(0),c/a)",
    source=f"{SOURCE}, supplement D, where the origin is called unstable",
    base=RAY.replace(views__noise=(0.1,), network__w0=0.1, network__p0=-_w0 * 0.1),  # near its upper bound for long
    vary={
        "views.signal": ((1.0,), (0.5,), (0.2,)),
        "views.noise": ((0.25,), (0.1,), (1.0,)),
        "network.w0": WIDTHS,
        "network.p0": tuple(sign * _w0 * width for sign in (-1, 1) for width in WIDTHS),
    },
    states=(STOP_GRADIENT, ONLINE, NO_DECAY, EQUAL_RATES, ON_RAY),
    residual=ray,
    bound=True,
    mutants={
        "it repels on both sides": lambda run: ray(run, "unstable"),
        "it attracts exponentially": lambda run: ray(run, "exponential"),
        "a tenth faster": lambda run: ray(run, faster=1.1),
    },
    proof=(
        REDUCTION,
        Step(r"p=-x,\ w=x:\ \dot x=-x^2(c+ax)\text{ from both}", lambda: _on_ray(1), lambda: _on_ray(-1)),
        Step(
            r"y=x_0/(1+qx_0t)\text{ solves }\dot y=-qy^2\text{, and } c\le c+ax\le c+ax_0",
            lambda: _comparison(1),
            lambda: _comparison(2),
        ),
        Step(r"p=w>0:\ \dot p=p^2(c-ap)>0\text{ below } c/a", lambda: _leaves(1), lambda: _leaves(-1)),
    ),
    scope="one mode with w = p = v in size, any a, c > 0, alpha_p = 1, no decay",
    picture=_ray_picture,
    explains="Half of the ray runs into the origin, so a start there collapses without weight decay, without ever "
    "showing an exponential. Off the ray the kept offset w² - p² decides: see byol-aligned-limit.",
)

CLAIMS: tuple[Claim, ...] = (ORIGIN,)
