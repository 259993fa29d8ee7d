"""Flows that need no stepping of matrices: the invariance flow in closed form at 100 times, and an aligned start by its modes.

Closed form: rates from 0.1 to 1.2, by one eigendecomposition, over the time span of the other flows and until the slowest mode
has fallen to SETTLED of itself; materialised lazily (losses and norms of all times), in full, or as spectra. The peer integrates dW = -W S to the target and gives every W(t), which the lazy row does not: that is its point.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.linalg import svdvals

from benchmarks import harness
from benchmarks.matrix_peers import PRINTED, exact
from benchmarks.matrix_problems import SLOWEST, SPAN, Array, Linear, Predictor, draw
from benchmarks.matrix_rows import Method, clocked, error, row
from dynamics.linear_flow import LinearFlow
from dynamics.matrix_flow import Stepping
from dynamics.matrix_input import rates
from dynamics.matrix_modes import aligned
from dynamics.matrix_moments import Moments

COUNT = 100  # times
SETTLED = 1e-6
SPANS = {"closed form": SPAN, "closed form, until settled": -np.log(SETTLED) / SLOWEST}


def lazily(q: Linear, t: Array) -> tuple[Array, Array]:
    """Loss and norm of every W(t)."""
    flow = LinearFlow.of(q.W0, q.S, t)
    return flow.loss(), flow.norm()


def in_full(q: Linear, t: Array) -> list[Array]:
    """Every W(t), kept."""
    return list(LinearFlow.of(q.W0, q.S, t))


def spectra(q: Linear, t: Array) -> Array:
    """Logarithms of the singular values of every W(t)."""
    return LinearFlow.of(q.W0, q.S, t).log_singular_values()


def off(x: Array, true: Array) -> float:
    """max |x - true| over max |true|."""
    return float(np.abs(x - true).max() / np.abs(true).max())


def compare(case: str, d: int, memory: bool) -> list[dict[str, Any]]:
    """A row of each way to materialise the closed form, "slower" than the lazy one, and scipy's at the target."""
    q, t, problem = draw("closed form", d), np.linspace(0.0, SPANS[case], COUNT), f"{case} d={d}"
    W, few, small = exact(q, t), slice(None, None, 20), draw("closed form", 4)
    loss = np.einsum("tij,tij->t", W @ q.S, W) / 2
    a_product, eigh_ms = 2e-9 * d**3, 1e3 * harness.measure(functools.partial(np.linalg.eigh, q.S)).minimum
    ways: dict[str, tuple[Callable[..., Any], Callable[[Any], float], dict[str, float]]] = {
        "loss and norm": (lazily, lambda x: off(x[0], loss), {"gflop": a_product}),
        "every W(t)": (
            in_full,
            lambda x: error(np.stack(x), W),
            {"gflop": (1 + COUNT) * a_product, "gb": 8e-9 * W.size},
        ),
        "every spectrum": (spectra, lambda x: off(np.exp(x[few]), svdvals_of(W[few])), {}),
    }
    rows = []
    base = functools.partial(lazily, q, t), 1
    for name, (way, wrong, counts) in ways.items():
        run = functools.partial(way, q, t)
        r = {"problem": problem, "method": f"noncollapse, {name}", "error": wrong(run())}
        r |= clocked(run, 1, base if rows else None) | counts | ({"eigh_ms": eigh_ms} if counts else {})
        if memory:
            r["mib"] = harness.peak_memory(run, functools.partial(way, small, t), fresh=True)
        rows.append(r)
    for peer in PRINTED:
        m = Method(peer.name, functools.partial(peer.solve, q, t), lambda x: error(x, W),
                   functools.partial(peer.solve, small, t, 1e-2))  # fmt: skip
        rows.append(row(problem, m, None, memory, base))
    return rows


def svdvals_of(W: Array) -> Array:
    """Singular values, falling, of W (T, k, d)."""
    return np.stack([svdvals(X) for X in W])


def parts_of_aligned(q: Predictor, t: Array, tol: float) -> list[dict[str, Any]]:
    """Where the time of the aligned start goes: finding the modes (an eigendecomposition of d x d), and integrating them."""
    d, how = len(q.A), Stepping(tol, tol / 100)
    modes = aligned(Moments.of(q.A, q.C, 1, d), q.W0[None], q.P0[None], None)
    if modes is None:
        raise RuntimeError("the aligned start was not found to be aligned: a fault of draw or of dynamics.matrix_modes")
    runs = {
        "noncollapse, only the eigendecomposition": functools.partial(np.linalg.eigh, q.A),
        "noncollapse, only the modes integrated": lambda: modes.solve(rates(1, 1.0, q.eta, q.eta, 1.0), t, how),
    }
    ours = functools.partial(q.own, t, how), 1
    return [{"problem": f"aligned d={d}", "method": name} | clocked(run, 1, ours) for name, run in runs.items()]
