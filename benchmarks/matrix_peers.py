"""Matrix flows solved by the project and by peers, each in its own best plain use, on the flow as printed or with shared products.

Every function takes the problem (`benchmarks.matrix_problems`), the times and a tolerance (rtol; atol is a hundredth of
it) and returns W (T, k, d). A peer that is not installed raises ImportError when it is called.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from scipy.integrate import solve_ivp

from benchmarks.matrix_problems import Array, Flow, Problem
from dynamics.matrix_flow import MatrixFlow, Stepping


def own(q: Flow, t: Array, tol: float, method: str = "auto") -> MatrixFlow:
    """The project's flow, with its facts."""
    return q.own(t, Stepping(tol, tol / 100, method))


def project(q: Flow, t: Array, tol: float) -> Array:
    """The project, choosing its method by itself; (B, T, k, d) of a stacked problem."""
    return own(q, t, tol).W


def project_explicit(q: Flow, t: Array, tol: float) -> Array:
    """The project by DOP853 alone."""
    return own(q, t, tol, "DOP853").W


def scipy_ivp(method: str, form: str, q: Problem, t: Array, tol: float) -> Array:
    """solve_ivp on the states end to end; form: "printed" or "shared"."""
    field, shapes = getattr(q, form), [x.shape for x in q.starts]
    cuts = np.cumsum([x.size for x in q.starts])

    def flat(_: float, y: Array) -> Array:
        states = [x.reshape(shape) for x, shape in zip(np.split(y, cuts[:-1]), shapes, strict=True)]
        return np.concatenate([x.ravel() for x in field(*states)])

    y0 = np.concatenate([x.ravel() for x in q.starts])
    out = solve_ivp(flat, (t[0], t[-1]), y0, method, t_eval=t, rtol=max(tol, 1e-13), atol=tol / 100)
    return out.y[: cuts[0]].T.reshape(len(t), *shapes[0])


def exact(q: Problem, t: Array, tol: float = 1e-13) -> Array:
    """The reference, by scipy alone."""
    return scipy_ivp("DOP853", "shared", q, t, tol)


def torchdiffeq_ivp(method: str, q: Problem, t: Array, tol: float) -> Array:
    """torchdiffeq's odeint on the tuple of states, float64, on the CPU."""
    import torch
    from torchdiffeq import odeint

    moved: Any = type(q)(*(torch.from_numpy(x) if isinstance(x, np.ndarray) else x for x in _values(q)))
    with torch.no_grad():
        W, *_ = odeint(lambda _, y: moved.printed(*y), moved.starts, torch.from_numpy(t), rtol=tol,
                       atol=tol / 100, method=method)  # fmt: skip
    return W.numpy()


def diffrax_ivp(solver: str, q: Problem, t: Array, tol: float) -> Array:
    """diffrax's diffeqsolve on the tuple of states, float64, compiled."""
    return np.asarray(_diffrax(solver, type(q))(_values(q), t, tol))


def _values(q: Any) -> list[Any]:
    return [getattr(q, field.name) for field in fields(q)]


@functools.cache
def _diffrax(solver: str, kind: type) -> Callable[..., Any]:
    """Compiled once a solver and kind of problem (jax compiles anew for each shape by itself)."""
    import diffrax
    import jax

    jax.config.update("jax_enable_x64", True)

    def run(values: list[Any], t: Any, tol: Any) -> Any:
        q = kind(*values)
        return diffrax.diffeqsolve(
            diffrax.ODETerm(lambda _t, y, _: q.printed(*y)),  # pyright: ignore[reportArgumentType]
            getattr(diffrax, solver)(), t[0], t[-1], None, q.starts, saveat=diffrax.SaveAt(ts=t), max_steps=None,
            stepsize_controller=diffrax.PIDController(rtol=tol, atol=tol / 100),
        ).ys[0]  # fmt: skip  # pyright: ignore[reportOptionalSubscript]

    return jax.jit(run)


@dataclass(frozen=True)
class Peer:
    """name, which says the form of the flow that it solves, the distribution it needs, and the solver."""

    name: str
    package: str
    solve: Callable[[Any, Array, float], Array]


PRINTED = tuple(
    Peer(f"scipy {m}, as printed", "scipy", functools.partial(scipy_ivp, m, "printed")) for m in ("DOP853", "RK45")
)
SCIPY = (
    *PRINTED,
    Peer("scipy DOP853, shared products", "scipy", functools.partial(scipy_ivp, "DOP853", "shared")),
)
PEERS = (
    *SCIPY,
    *(Peer(f"torchdiffeq {m}", "torchdiffeq", functools.partial(torchdiffeq_ivp, m)) for m in ("dopri8", "dopri5")),
    *(Peer(f"diffrax {m}", "diffrax", functools.partial(diffrax_ivp, m)) for m in ("Dopri8", "Tsit5")),
)  # fmt: skip
EXPLICIT = (  # held against the stabilised method: scipy's fastest there, in the shared form, so that only the method differs
    Peer("scipy RK23, shared products", "scipy", functools.partial(scipy_ivp, "RK23", "shared")),
)
