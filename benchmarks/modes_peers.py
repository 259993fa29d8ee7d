"""The per-mode system solved by the project and by its peers, each in its own best plain use; one function a peer.

Every function takes y0 (M, 3), q (M, 6), the end time and a tolerance, and returns y (M, 3) there. A peer that is not
installed raises ImportError when it is called. Those of torch and jax compile or cache on their first call.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.integrate import odeint, solve_ivp
from scipy.sparse import block_diag

from dynamics import modes
from dynamics.ensemble import integrate_many

Array = NDArray[np.float64]


def project(y0: Array, q: Array, t_end: float, tol: float, threads: int = 1) -> Array:
    """dynamics.ensemble: relative tolerance all the way down (atol 1e-30)."""
    out = integrate_many(modes.field, y0.T, q.T, t_end, rtol=tol, threads=threads)
    if not out.ok.all():
        raise RuntimeError("; ".join(out.failures()))
    return out.y


def scipy_loop(method: str, y0: Array, q: Array, t_end: float, tol: float) -> Array:
    """solve_ivp, one member after another, the field as a Python function of scalars."""
    out = np.empty_like(y0)
    for i, (y, parameters) in enumerate(zip(y0.tolist(), q.tolist(), strict=True)):
        field = lambda _, s, k=parameters: modes.field(s[0], s[1], s[2], *k)  # noqa: E731
        out[i] = solve_ivp(field, (0.0, t_end), y, method, t_eval=[t_end], rtol=tol, atol=tol).y[:, -1]
    return out


def odeint_loop(y0: Array, q: Array, t_end: float, tol: float) -> Array:
    """odeint (Fortran LSODA), one member after another."""
    out = np.empty_like(y0)
    for i, (y, parameters) in enumerate(zip(y0.tolist(), q.tolist(), strict=True)):
        field = lambda s, _, k=parameters: modes.field(s[0], s[1], s[2], *k)  # noqa: E731
        out[i] = odeint(field, y, [0.0, t_end], rtol=tol, atol=tol, mxstep=100_000)[-1]
    return out


def scipy_system(method: str, y0: Array, q: Array, t_end: float, tol: float) -> Array:
    """All members as one system of 3 M states with a numpy field; one step size for all, error norm over all."""
    columns = [np.ascontiguousarray(c) for c in q.T]

    def field(_: float, y: Array) -> Array:
        return np.concatenate(modes.field(*y.reshape(3, -1), *columns))

    options: dict[str, Any] = {}
    if method in ("BDF", "Radau"):  # member by member, so that the Jacobian is block diagonal and its colours are three
        count = len(y0)
        order = np.arange(3 * count).reshape(3, count).T.ravel()
        pattern = block_diag([np.ones((3, 3))] * count, format="csr")
        back = np.argsort(order)
        options["jac_sparsity"] = pattern[back][:, back]
    out = solve_ivp(field, (0.0, t_end), y0.T.ravel(), method, t_eval=[t_end], rtol=tol, atol=tol, **options)
    return out.y[:, -1].reshape(3, -1).T


def torchdiffeq_batch(method: str, y0: Array, q: Array, t_end: float, tol: float) -> Array:
    """One batched state; one step size for all."""
    import torch
    from torchdiffeq import odeint as solve

    columns = torch.from_numpy(q).T

    def field(_: Any, y: Any) -> Any:
        return torch.stack(modes.field(*y.unbind(-1), *columns), dim=-1)  # pyright: ignore[reportArgumentType]

    times = torch.tensor([0.0, t_end], dtype=torch.float64)
    with torch.no_grad():
        return solve(field, torch.from_numpy(y0), times, rtol=tol, atol=tol, method=method)[-1].numpy()  # pyright: ignore


def torchode_batch(method: str, y0: Array, q: Array, t_end: float, tol: float) -> Array:
    """One batched state; a step size for each member, in lockstep."""
    import torch
    import torchode

    columns = torch.from_numpy(q).T

    def field(_: Any, y: Any) -> Any:
        return torch.stack(modes.field(*y.unbind(-1), *columns), dim=-1)  # pyright: ignore[reportArgumentType]

    term = torchode.ODETerm(field)  # pyright: ignore[reportArgumentType]
    step = {"Dopri5": torchode.Dopri5, "Tsit5": torchode.Tsit5}[method](term=term)
    solver = torchode.AutoDiffAdjoint(step, torchode.IntegralController(atol=tol, rtol=tol, term=term))  # pyright: ignore
    times = torch.tensor([[0.0, t_end]], dtype=torch.float64).expand(len(y0), 2)
    with torch.no_grad():
        return solver.solve(torchode.InitialValueProblem(y0=torch.from_numpy(y0), t_eval=times)).ys[:, -1].numpy()


@functools.cache
def _diffrax(method: str) -> Callable[..., Any]:
    import diffrax
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)

    def field(_: Any, y: Any, k: Any) -> Any:
        return jnp.stack(modes.field(y[0], y[1], y[2], *(k[j] for j in range(6))))

    def solve(y: Any, k: Any, t_end: Any, tol: Any) -> Any:
        return diffrax.diffeqsolve(
            diffrax.ODETerm(field), getattr(diffrax, method)(), 0.0, t_end, None, y, args=k, max_steps=1_000_000,
            stepsize_controller=diffrax.PIDController(rtol=tol, atol=tol), saveat=diffrax.SaveAt(t1=True), throw=False,
        ).ys[0]  # fmt: skip

    return jax.jit(jax.vmap(solve, (0, 0, None, None)))


def diffrax_batch(method: str, y0: Array, q: Array, t_end: float, tol: float) -> Array:
    """vmap of diffeqsolve, jit-compiled, float64: a step size for each member, in lockstep."""
    return np.asarray(_diffrax(method)(y0, q, t_end, tol))


@dataclass(frozen=True)
class Peer:
    """A way to solve the ensemble: what it needs, for which problems, over how many members it is timed."""

    name: str
    package: str
    family: str  # what the targets of the benchmark are set against
    solve: Callable[[Array, Array, float, float], Array]
    mild: tuple[int, ...]  # members timed; none: not run on this problem
    stiff: tuple[int, ...]
    compiles: bool = False  # once for each number of members


of = functools.partial
PEERS = (
    Peer("scipy loop, DOP853", "scipy", "scipy loop", of(scipy_loop, "DOP853"), (40,), ()),
    Peer("scipy loop, RK45", "scipy", "scipy loop", of(scipy_loop, "RK45"), (40,), ()),
    Peer("scipy loop, LSODA", "scipy", "scipy loop", of(scipy_loop, "LSODA"), (40,), (40,)),
    Peer("scipy loop, Radau", "scipy", "scipy loop", of(scipy_loop, "Radau"), (), (20,)),
    Peer("odeint loop", "scipy", "odeint", odeint_loop, (40,), (40,)),
    Peer("one scipy system, DOP853", "scipy", "one scipy system", of(scipy_system, "DOP853"), (100, 1000), ()),
    Peer("one scipy system, BDF, sparse Jacobian", "scipy", "one scipy system", of(scipy_system, "BDF"), (), (1000,)),
    Peer("torchdiffeq, dopri5", "torchdiffeq", "torchdiffeq", of(torchdiffeq_batch, "dopri5"), (1000, 10_000), ()),
    Peer("torchdiffeq, dopri8", "torchdiffeq", "torchdiffeq", of(torchdiffeq_batch, "dopri8"), (1000, 10_000), ()),
    Peer("torchode, Dopri5", "torchode", "batched", of(torchode_batch, "Dopri5"), (1000, 10_000), ()),
    Peer("torchode, Tsit5", "torchode", "batched", of(torchode_batch, "Tsit5"), (1000, 10_000), ()),
    Peer("diffrax vmap, Tsit5", "diffrax", "batched", of(diffrax_batch, "Tsit5"), (1000, 10_000, 100_000), (), True),
    Peer("diffrax vmap, Dopri8", "diffrax", "batched", of(diffrax_batch, "Dopri8"), (1000, 10_000), (), True),
    Peer("diffrax vmap, Kvaerno5", "diffrax", "batched", of(diffrax_batch, "Kvaerno5"), (), (1000,), True),
)
