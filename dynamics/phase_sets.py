"""Fields and proven sets of one mode, by which `dynamics.phases` labels a start. Exact.

In the dimensionless variables of `dynamics.phases`,

    x' = y (z - x y) - h x      y' = x (z - x y) - h y      z' = b (y - z)

and with D = y² - x², for which D' = -2 h D exactly:

Online target, z = y: x' = f(x) + D (1 - x), f(x) = x² (1 - x) - h x, one equation driven by a D that only decays.
    Survival: x >= 1/2 and D > -(1/4 - h), for then x' > 0 at x = 1/2 now and ever after. (h < 1/4)
    Collapse: x <= x-/2 and D < D0, where x' = 0 at x-/2 for D = D0 > 0: then x' < 0 there ever after.
EMA target:
    Collapse: L = x² + y² + (h/b) z² < h²/4, since L' <= -2 h x² - (h - 2|x|) (y² + z²) and L bounds x.
    Survival: (δ, Q δ) < 1, δ the distance to (x+, x+, x+), Q solving the Lyapunov equation of the Jacobian there, scaled
    to the radius inside which the quadratic and cubic rest of the field cannot outweigh it (see `survival_form`).

From x > 1 a small y first falls by e^{-(x-1)²/2h} and then, while x falls on from 1 to 0, grows by up to e^{1/2h}: under weak
decay it leaves the range of numbers and comes back. `online_logs` and `ema_logs` are the same flows with a logarithm for a size.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from dynamics.modes import field
from dynamics.run import Array

EDGE = 1e-300  # of a set that holds no point of its edge: added to what must be below 0, it turns 0 alone, which would count


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


def online_logs(x: Any, u: Any, h: Any, level: Any) -> tuple[Any, Any]:
    """(x', u') of `online`, u = log y."""
    return math.exp(2.0 * u) * (1.0 - x) - h * x, x * (1.0 - x) - h


def online_logs_sets(x: Any, u: Any, h: Any, level: Any) -> tuple[Any, Any]:
    """online_sets at y = e^u."""
    return online_sets(x, math.exp(u), h, level)


def ema_logs(x: Any, m: Any, n: Any, u: Any, h: Any, b: Any, level: Any,
             qxx: Any, qxy: Any, qxz: Any, qyy: Any, qyz: Any, qzz: Any) -> tuple[Any, Any, Any, Any]:  # fmt: skip
    """(x', m', n', u') of `ema`, (y, z) = e^u (m, n): u takes the change in length, whatever the length of (m, n)."""
    r = n - x * m
    dm, dn = x * r - h * m, b * (m - n)
    du = (m * dm + n * dn) / (m * m + n * n)
    return math.exp(2.0 * u) * m * r - h * x, dm - du * m, dn - du * n, du


def ema_logs_sets(x: Any, m: Any, n: Any, u: Any, h: Any, b: Any, level: Any,
                  qxx: Any, qxy: Any, qxz: Any, qyy: Any, qyz: Any, qzz: Any) -> tuple[Any, Any]:  # fmt: skip
    """ema_sets at (y, z) = e^u (m, n)."""
    size = math.exp(u)
    return ema_sets(x, size * m, size * n, h, b, level, qxx, qxy, qxz, qyy, qyz, qzz)


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


@dataclass(frozen=True)
class Flow:
    """A field with its sets, and the same by the logarithm: to_logs leads from states there, from_logs back."""

    field: Callable[..., Any]
    sets: Callable[..., tuple[Any, Any]]
    log_field: Callable[..., Any]
    log_sets: Callable[..., tuple[Any, Any]]
    to_logs: Callable[..., tuple[Array, ...]]
    from_logs: Callable[..., tuple[Array, ...]]


def _to_ema_logs(x: Array, y: Array, z: Array) -> tuple[Array, ...]:
    size = np.hypot(y, z)
    return x, y / size, z / size, np.log(size)


ONLINE = Flow(
    online, online_sets, online_logs, online_logs_sets, lambda x, y: (x, np.log(y)), lambda x, u: (x, np.exp(u))
)
EMA = Flow(ema, ema_sets, ema_logs, ema_logs_sets, _to_ema_logs, lambda x, m, n, u: (x, m * np.exp(u), n * np.exp(u)))
