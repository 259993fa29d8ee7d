"""The predictor flow solved by the project and by peers, each in its own best plain use, on the flow as printed: eight products.

Every function takes the problem (W0, P0, A, C, eta), the times and a tolerance (rtol; atol is a hundredth of it) and
returns W (T, k, d). `literal` is Tian et al.'s Lemma 1 letter by letter; `shared` the project's `predictor.field`, five
products, which a careful user would write. A peer that is not installed raises ImportError when it is called.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.integrate import solve_ivp

from dynamics import predictor
from dynamics.matrix_flow import MatrixFlow, Stepping, predictor_flow

Array = NDArray[np.float64]
Field = Callable[[Any, Any, "Problem"], tuple[Any, Any]]


@dataclass(frozen=True)
class Problem:
    """One start and its moments; the target is online (V = W)."""

    W0: Array
    P0: Array
    A: Array
    C: Array
    eta: float = 0.0

    @property
    def y0(self) -> Array:
        return np.concatenate([self.W0.ravel(), self.P0.ravel()])


def own(q: Problem, t: Array, tol: float, method: str = "auto") -> MatrixFlow:
    """The project's flow, with its facts."""
    return predictor_flow(q.W0, q.P0, q.A, q.C, t, eta=q.eta, stepping=Stepping(tol, tol / 100, method))


def project(q: Problem, t: Array, tol: float) -> Array:
    """The project, choosing its method by itself."""
    return own(q, t, tol).W


def project_explicit(q: Problem, t: Array, tol: float) -> Array:
    """The project by DOP853 alone."""
    return own(q, t, tol, "DOP853").W


def error(W: Array, exact: Array) -> float:
    """max |W - exact| over max |exact|; infinite where W is not finite."""
    return float(np.abs(W - exact).max() / np.abs(exact).max()) if np.isfinite(W).all() else np.inf


def literal(W: Any, P: Any, q: Any) -> tuple[Any, Any]:
    """dP = (-P W A + W C) Wᵀ - eta P, dW = Pᵀ (-P W A + W C) - eta W with the bracket written twice, C here their X."""
    return P.T @ (-P @ W @ q.A + W @ q.C.T) - q.eta * W, (-P @ W @ q.A + W @ q.C.T) @ W.T - q.eta * P


def shared(W: Any, P: Any, q: Any) -> tuple[Any, Any]:
    """(dW, dP) with the bracket written once: five products."""
    return predictor.field(W, P, W, q.A, q.C, 1.0, q.eta, q.eta)


def scipy_ivp(method: str, field: Field, q: Problem, t: Array, tol: float) -> Array:
    """solve_ivp on [W | P], flat."""
    k, d = q.W0.shape

    def flat(_: float, y: Array) -> Array:
        dW, dP = field(y[: k * d].reshape(k, d), y[k * d :].reshape(k, k), q)
        return np.concatenate([dW.ravel(), dP.ravel()])

    out = solve_ivp(flat, (t[0], t[-1]), q.y0, method, t_eval=t, rtol=max(tol, 1e-13), atol=tol / 100)
    return out.y[: k * d].T.reshape(len(t), k, d)


def torchdiffeq_ivp(method: str, q: Problem, t: Array, tol: float) -> Array:
    """torchdiffeq's odeint on the pair (W, P), float64, on the CPU."""
    import torch
    from torchdiffeq import odeint

    moments = Problem(*(torch.from_numpy(X) for X in (q.W0, q.P0, q.A, q.C)), q.eta)  # pyright: ignore[reportArgumentType]
    with torch.no_grad():
        W, _ = odeint(lambda _, y: literal(*y, moments), (moments.W0, moments.P0), torch.from_numpy(t), rtol=tol,
                      atol=tol / 100, method=method)  # fmt: skip
    return W.numpy()


def diffrax_ivp(solver: str, q: Problem, t: Array, tol: float) -> Array:
    """diffrax's diffeqsolve on the pair (W, P), float64, compiled."""
    return np.asarray(_diffrax(solver, len(t))(q.W0, q.P0, q.A, q.C, q.eta, t, tol))


@functools.cache
def _diffrax(solver: str, count: int) -> Callable[..., Any]:
    """Compiled once a solver and number of outputs (jax compiles anew for each shape by itself)."""
    import diffrax
    import jax

    jax.config.update("jax_enable_x64", True)

    def run(W0: Any, P0: Any, A: Any, C: Any, eta: Any, t: Any, tol: Any) -> Any:
        moments = Problem(W0, P0, A, C, eta)
        return diffrax.diffeqsolve(
            diffrax.ODETerm(lambda _t, y, _: literal(*y, moments)),  # pyright: ignore[reportArgumentType]
            getattr(diffrax, solver)(), t[0], t[-1], None, (W0, P0), saveat=diffrax.SaveAt(ts=t), max_steps=None,
            stepsize_controller=diffrax.PIDController(rtol=tol, atol=tol / 100),
        ).ys[0]  # fmt: skip  # pyright: ignore[reportOptionalSubscript]

    return jax.jit(run)


@dataclass(frozen=True)
class Peer:
    """name, which says the form of the flow that it solves, the distribution it needs, and the solver."""

    name: str
    package: str
    solve: Callable[[Problem, Array, float], Array]


PEERS = (
    *(Peer(f"scipy {m}, as printed", "scipy", functools.partial(scipy_ivp, m, literal)) for m in ("DOP853", "RK45")),
    Peer("scipy DOP853, five products", "scipy", functools.partial(scipy_ivp, "DOP853", shared)),
    *(Peer(f"torchdiffeq {m}", "torchdiffeq", functools.partial(torchdiffeq_ivp, m)) for m in ("dopri8", "dopri5")),
    *(Peer(f"diffrax {m}", "diffrax", functools.partial(diffrax_ivp, m)) for m in ("Dopri8", "Tsit5")),
)  # fmt: skip
EXPLICIT = (  # held against the stabilised method: scipy's fastest there, in the shared form, so that only the method differs
    Peer("scipy RK23, five products", "scipy", functools.partial(scipy_ivp, "RK23", shared)),
)
