"""Phases of one mode: whether a start ends in collapse or at p+, and when. By roots and proven basins, integrated.

Everything is done in the dimensionless variables p = (c/a) x, √alpha_p w = (c/a) y, √alpha_p v = (c/a) z,
t = (a/c²) θ, in which only h = eta a / c² and b = beta a / c² are left (eta_p = eta):

    x' = y (z - x y) - h x      y' = x (z - x y) - h y      z' = b (y - z)

A label is never read off at a finite time: each member is integrated until it is inside a set that provably lies in
one basin. Write D = y² - x², for which D' = -2 h D exactly.

Online target, z = y: x' = f(x) + D (1 - x), f(x) = x² (1 - x) - h x, one equation driven by a D that only decays.
    Survival: x >= 1/2 and D > -(1/4 - h), for then x' > 0 at x = 1/2 now and ever after. (h < 1/4)
    Collapse: x <= x-/2 and D < D0, where x' = 0 at x-/2 for D = D0 > 0: then x' < 0 there ever after.
EMA target:
    Collapse: L = x² + y² + (h/b) z² < h²/4, since L' <= -2 h x² - (h - 2|x|) (y² + z²) and L bounds x.
    Survival: (δ, Q δ) < 1, δ the distance to (x+, x+, x+), Q solving the Lyapunov equation of the Jacobian there, scaled
    to the radius inside which the quadratic and cubic rest of the field cannot outweigh it (see `survival_form`).
Without decay (online target) D is conserved and the end follows from x and D alone. Source: Tian et al. 2021, section
3; the sets are ours.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dynamics.columns import reals
from dynamics.ensemble import Ensemble, FieldError, integrate_many
from dynamics.modes import field, fixed_points, parabola_time
from dynamics.run import Array

COLLAPSE, SURVIVAL, UNDECIDED = 0, 1, 2
LEVEL = 1e-3  # of c/a: a weight this much smaller than a healthy one has collapsed, once it is sure to stay
RTOL = 1e-8
HORIZON = 1e4  # of the slowest time constants, see `_horizon`
EDGE = 1e-300  # of a set that holds no point of its edge: added to what must be below 0, it turns 0 alone, which would count
LARGEST = 1e60  # of a dimensionless number: its fourth powers, in the field, are still finite
THRESHOLD = 1e-3  # √|1 - 4h| below which the horizon grows no more: |1 - 4h| = 1e-12 is still decided there


@dataclass(frozen=True)
class Phases:
    """end (*shape): COLLAPSE, SURVIVAL or UNDECIDED. time (*shape), in units of t: of collapse, from which on the start
    is sure to collapse and √alpha_p |w| < level c/a; or from which on it is sure to survive; NaN where undecided.

    UNDECIDED: the integration failed (run.failures() says why), or it reached the horizon, 1e4 of its slowest time
    constants, in neither set: the start lies on the boundary, or eta on the threshold c²/4a, to within the tolerance."""

    end: NDArray[Any]
    time: Array
    run: Ensemble


def online(x: Any, y: Any, h: Any, level: Any) -> tuple[Any, Any]:
    """(x', y') with the target equal to the online network, per unit θ."""
    dx, dy, _ = field(x, y, y, 1.0, 1.0, 1.0, 0.0, h, h)
    return dx, dy


def online_sets(x: Any, y: Any, h: Any, level: Any) -> tuple[Any, Any]:
    """Negative inside the sets of the head: (collapse and small, survival). Elementwise, so for arrays too."""
    D, gap = y * y - x * x, 0.25 - h
    half = 0.25 - 0.5 * np.sqrt(np.maximum(gap, 0.0))  # x-/2; beyond h = 1/4, where all collapse, any bound serves
    most = h * half / (1.0 - half) - half * half  # D0
    collapse = np.maximum(np.maximum(np.abs(y) - level, x - half), D - most)
    return collapse, np.maximum(np.maximum(0.5 - x, -gap - D + EDGE), EDGE - gap)


def ema(x: Any, y: Any, z: Any, h: Any, b: Any, level: Any,
        qxx: Any, qxy: Any, qxz: Any, qyy: Any, qyz: Any, qzz: Any) -> tuple[Any, Any, Any]:  # fmt: skip
    """(x', y', z') with an EMA target, per unit θ."""
    dx, dy, dz = field(x, y, z, 1.0, 1.0, 1.0, b, h, h)
    return dx, dy, dz


def ema_sets(x: Any, y: Any, z: Any, h: Any, b: Any, level: Any,
             qxx: Any, qxy: Any, qxz: Any, qyy: Any, qyz: Any, qzz: Any) -> tuple[Any, Any]:  # fmt: skip
    """As online_sets. The field is odd in (y, z), so survival has two points; z's sign says which is meant."""
    sign, gap = np.copysign(1.0, z), 0.25 - h
    top = 0.5 + np.sqrt(np.maximum(gap, 0.0))
    u, v, w = x - top, sign * y - top, sign * z - top
    form = qxx * u * u + qyy * v * v + qzz * w * w + 2.0 * (qxy * u * v + qxz * u * w + qyz * v * w)
    L = x * x + y * y + h / b * z * z
    return np.maximum(np.abs(y) - level, L - 0.25 * h * h), np.maximum(form - 1.0, EDGE - gap)


def survival_form(h: Array, b: Array) -> tuple[Array, ...]:
    """(qxx, qxy, qxz, qyy, qyz, qzz) of Q above, each of the shape of h and b; for h < 1/4, elsewhere unused.

    With JᵀQ + QJ = -1 at the fixed point and |rest| <= √2 (r²/2 + 1.62 x+ r² + 0.39 r³) at distance r, (δ, Qδ) falls
    where 2 |Q| |rest| < r, hence for r < 1 / (2 √2 |Q| (0.89 + 1.62 x+)) =: ρ <= 1; {(δ, Qδ) < λ_min ρ²} lies inside.
    (1.62 bounds the form y² + 2xy, 0.39 bounds |x| y² on the unit sphere.)
    """
    h, b = np.broadcast_arrays(np.minimum(h, 0.25 * (1 - 1e-12)), b)
    X, zero = 0.5 + np.sqrt(0.25 - h), np.zeros(h.shape)
    cross, own = X - 2 * X * X, -X * X - h
    J = np.stack([own, cross, X, cross, own, X, zero, b, -b], axis=-1).reshape(*h.shape, 3, 3)
    one = np.eye(3)
    both = np.einsum("...ki,lj->...ijkl", J, one) + np.einsum("...lj,ki->...ijkl", J, one)  # Q -> JᵀQ + QJ
    Q = np.linalg.solve(both.reshape(*h.shape, 9, 9), np.broadcast_to(-one.reshape(9, 1), (*h.shape, 9, 1)))
    Q = Q.reshape(*h.shape, 3, 3)
    Q = (Q + Q.mT) / 2
    values = np.linalg.eigvalsh(Q)
    rho = np.minimum(1.0, 1 / (2 * np.sqrt(2) * values[..., 2] * (0.89 + 1.62 * X)))
    Q = Q / (values[..., 0] * rho**2)[..., None, None]
    return tuple(Q[..., i, j] for i, j in ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2)))


def classify(
    p0: ArrayLike,
    w0: ArrayLike,
    *,
    a: ArrayLike = 1.0,
    c: ArrayLike = 1.0,
    alpha_p: ArrayLike = 1.0,
    eta: ArrayLike = 0.0,
    beta: ArrayLike | None = None,
    tau0: ArrayLike = 1.0,
    level: float = LEVEL,
    rtol: float = RTOL,
    threads: int = 1,
    progress: Callable[[int], Any] | None = None,
) -> Phases:
    """The phase of every start (p0, w0, v0 = tau0 w0); all arguments broadcast together. eta_p = eta.

    beta: the EMA rate per unit t; None: the target is the online network (tau0 has no say). Raises FieldError, a
    ValueError, for parameters that are not finite or not of the signs below, and for an EMA target without decay.
    """
    given = {"p0": p0, "w0": w0, "a": a, "c": c, "alpha_p": alpha_p, "eta": eta, "tau0": tau0, "level": level}
    columns = _checked(given if beta is None else given | {"beta": beta})
    p0, w0, a, c, alpha_p, eta, tau0, _ = (columns[name] for name in given)
    with np.errstate(all="ignore"):  # what leaves the range of numbers is refused below
        x, y, h = a / c * p0, a / c * np.sqrt(alpha_p) * w0, eta * a / c**2
        b = columns.get("beta", eta) * a / c**2
    if not all((np.abs(value) < LARGEST).all() for value in (x, y, h, b, tau0)):
        raise FieldError(
            f"a p0/c, a √alpha_p w0/c, tau0 and rates times a/c² must stay below {LARGEST:g}: choose other units"
        )
    states, parameters, f, sets, slowest = (x, np.abs(y)), (h, level), online, online_sets, h
    if beta is not None:
        states, parameters, f, sets = (x, y, tau0 * y), (h, b, level, *survival_form(h, b)), ema, ema_sets
        slowest = np.minimum(h, b)
    inside = np.stack(np.broadcast_arrays(*sets(*states, *parameters)), axis=-1) < 0
    ends = np.where(inside.any(-1), 0.0, _horizon(h, slowest))
    run = integrate_many(f, states, parameters, ends, events=sets, stop=(True, True), rtol=rtol, threads=threads,
                         progress=progress)  # fmt: skip
    hit = np.where(inside, 0.0, run.event_times)
    end = np.where(np.isfinite(hit[..., 0]), COLLAPSE, np.where(np.isfinite(hit[..., 1]), SURVIVAL, UNDECIDED))
    free = (h == 0) & (end == UNDECIDED)
    time = np.where(end == UNDECIDED, np.nan, a / c**2 * np.where(end == COLLAPSE, hit[..., 0], hit[..., 1]))
    return Phases(np.where(free, _without_decay(x, states[1]), end), time, run)


def _numbers(given: dict[str, Any]) -> dict[str, Array]:
    """The arguments as arrays that broadcast together. Raises FieldError, which names the one to mend."""
    out, shape = {}, ()
    for name, value in given.items():
        out[name] = reals(value, name)
        if not np.isfinite(out[name]).all():
            raise FieldError(f"{name} holds numbers that are not finite: give finite ones")
        try:
            shape = np.broadcast_shapes(shape, out[name].shape)
        except ValueError:
            raise FieldError(
                f"{name} of shape {out[name].shape} does not broadcast with {shape}, the shape of those before it: give "
                "scalars, or arrays of one shape"
            ) from None
    return out


def _checked(given: dict[str, Any]) -> dict[str, Array]:
    """The arguments of `classify` as arrays that broadcast together, of the right signs. Raises FieldError."""
    columns = _numbers(given)
    for name in ("a", "c", "alpha_p", "level"):
        if (columns[name] <= 0).any():
            raise FieldError(f"{name} must be positive: with {name} = 0 there is no second phase to tell apart")
    if (columns["eta"] < 0).any():
        raise FieldError("eta must not be negative: weight decay shrinks weights")
    if "beta" in columns and (columns["beta"] <= 0).any():
        raise FieldError("beta must be positive: leave it out for a target equal to the online network")
    if "beta" in columns and (columns["eta"] == 0).any():
        raise FieldError("the phases under an EMA target are fixed points that need weight decay: give eta > 0")
    return columns


def _horizon(h: Array, slowest: Array) -> Array:
    """θ at which to give up: HORIZON / slowest, the least of the rates h and b, and longer by 1/√|1 - 4h| where the fixed points
    are about to meet or have just met. Without decay (h = 0: 1e7) the time alone is at stake, see `_without_decay`."""
    return HORIZON / (np.where(h > 0, slowest, 1e-3) * np.clip(np.sqrt(np.abs(1 - 4 * h)), THRESHOLD, 1.0))


def _without_decay(x: Array, y: Array) -> NDArray[Any]:
    """The end at h = 0, online target: D = y² - x² stays, x' = (x² + D) (1 - x). Exact."""
    D = y * y - x * x
    rest = np.where(D < 0, np.sqrt(np.maximum(-D, 0.0)), 0.0)  # where x would come to rest with y = 0
    survives = (y > 0) & ((D > 0) | ((x > 0) & (rest < 1)))
    return np.where(survives, SURVIVAL, COLLAPSE)


def collapse_time(p0: ArrayLike, a: ArrayLike, c: ArrayLike, eta: ArrayLike, level: float = LEVEL) -> Array:
    """t at which a start p0 > 0 on the invariant parabola, target online, is down to p = level c/a: closed form, exact.

    NaN where the start survives, is below the level from the beginning, or eta = 0.
    """
    p0, a, c, eta = np.broadcast_arrays(*(np.asarray(v, dtype=float) for v in (p0, a, c, eta)))
    with np.errstate(divide="ignore", invalid="ignore"):
        time = parabola_time(level * c / a, p0, a, c, eta)
        survives = p0 >= fixed_points(a, c, eta).p_minus  # false beyond eta_c, where p- is NaN
    return np.where((eta > 0) & ~survives & (p0 >= level * c / a), time, np.nan)


def bottleneck_time(a: ArrayLike, c: ArrayLike, eta: ArrayLike) -> Array:
    """4 π (a/c²) / √(eta/eta_c - 1), eta_c = c²/4a: the leading term of the collapse time just beyond eta_c."""
    a, c, eta = (np.asarray(v, dtype=float) for v in (a, c, eta))
    return 4 * np.pi * a / c**2 / np.sqrt(4 * a * eta / c**2 - 1)
