"""Matrix flows: the project and its peers in one run, at matched true error. `python -m benchmarks.matrix [--quick]`.

The system is the predictor flow with stop-gradient, online target, k = d. general: C non-symmetric, not commuting with A;
commuting: isotropic noise; ensemble: members of d = 8 with starts and moments of their own; stiff: spectra from 1 to
1e-3, A and C not commuting, until the slowest mode has converged (t = 30 / smallest eigenvalue); at a loose target and a tight one; aligned: a start in
the shared eigenbasis; closed form: the invariance flow at 100 times. The true error is max |W - exact| over max |exact| at
five times, exact by DOP853 at rtol 1e-13 (see `reference`); each method runs at the loosest tolerance that keeps it below the
target, in steps of 10^(1/4). One core: the process is bound to one.
"""

from __future__ import annotations

import argparse
import functools
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

from benchmarks import harness

import numpy as np  # isort: skip  after the harness, which sets the thread counts
from tqdm import tqdm

from benchmarks.matrix_peers import EXPLICIT, PEERS, Array, Peer, Problem, scipy_ivp, shared
from dynamics import invariance
from dynamics.linear_flow import LinearFlow
from dynamics.matrix_flow import MatrixFlow, Stepping, predictor_flow
from dynamics.solver import integrate

TOLERANCES = 10.0 ** -np.arange(2.0, 12.25, 0.25)
TARGETS = {"general": 1e-6, "commuting": 1e-6, "ensemble": 1e-6, "aligned": 1e-6, "stiff": 1e-3, "stiff, tight": 1e-4}
T_END = 8.0
CONDITION = 1e3
Solve = Callable[[Problem, Array, float], Array]


def draw(case: str, d: int, seed: int = 0) -> Problem:
    """Starts of order one (0.7 / √d an entry), moments of order one."""
    rng = np.random.default_rng([seed, d])
    rotation = lambda: np.linalg.qr(rng.standard_normal((d, d)))[0]  # noqa: E731
    W0, P0 = (0.7 * rng.standard_normal((d, d)) / np.sqrt(d) for _ in range(2))
    U = rotation()
    spectrum = np.logspace(0, -np.log10(CONDITION), d) if case.startswith("stiff") else np.linspace(0.3, 2.0, d)
    X = (U * spectrum) @ U.T
    if case.startswith("stiff"):
        Q = np.linalg.qr(np.eye(d) + 0.1 * rng.standard_normal((d, d)))[0]
        A, C, eta = X + 0.25 * Q @ X @ Q.T, X, 0.0
        W0, P0 = (
            0.5 * np.eye(d) + 0.3 * W0,
            0.5 * np.eye(d) + 0.3 * P0,
        )  # well inside the basin: past a saddle any error is
        # amplified without bound, and the comparison would be one of luck
    elif case in ("commuting", "aligned"):
        A, C, eta = X + 0.3 * np.eye(d), X, 0.05
    else:
        Q = rotation()
        twist = np.linalg.qr(np.eye(d) + 0.3 * rng.standard_normal((d, d)) / np.sqrt(d))[0]
        twist = twist * np.sign(np.diag(twist))  # near the identity; a wide one makes some flows blow up
        A, C, eta = X + (Q * rng.uniform(0, 0.5, d)) @ Q.T, X @ twist.T, 0.05
    if case == "aligned":
        O = rotation()
        W0, P0 = (O * rng.uniform(0.2, 1.0, d)) @ U.T, (O * rng.uniform(0.2, 1.0, d)) @ O.T
    return Problem(W0, P0, (A + A.T) / 2, C, eta)


def times(case: str) -> Array:
    return np.linspace(0.0, 30 * CONDITION, 6) if case.startswith("stiff") else np.linspace(0.0, T_END, 6)


def own(q: Problem, t: Array, tol: float, method: str = "auto") -> MatrixFlow:
    return predictor_flow(q.W0, q.P0, q.A, q.C, t, eta=q.eta, stepping=Stepping(tol, tol / 100, method))


def project(q: Problem, t: Array, tol: float) -> Array:
    return own(q, t, tol).W


def project_explicit(q: Problem, t: Array, tol: float) -> Array:
    return own(q, t, tol, "DOP853").W


def error(W: Array, exact: Array) -> float:
    return float(np.abs(W - exact).max() / np.abs(exact).max()) if np.isfinite(W).all() else np.inf


def row(case: str, d: int, name: str, solve: Solve, exact: Array, memory: bool) -> dict[str, Any]:
    """One line of the table: the tolerance matched, milliseconds, memory."""
    q, t, start = draw(case, d), times(case), {"problem": f"{case} d={d}", "method": name}
    matched = harness.match(lambda tol: error(solve(q, t, tol), exact), TARGETS[case], TOLERANCES, stride=4)
    if matched.tolerance is None:
        return start | {"skipped": f"error {matched.error:.1e} even at the tightest tolerance"}
    timing = harness.measure(functools.partial(solve, q, t, matched.tolerance))
    out = start | {"tolerance": matched.tolerance, "error": matched.error}
    out |= {"ms": 1e3 * timing.median, "ms_min": 1e3 * timing.minimum, "ms_max": 1e3 * timing.maximum}
    if memory:
        job = functools.partial(solve, q, t, matched.tolerance)
        out["mib"] = harness.peak_memory(job, functools.partial(solve, draw(case, 4), t, 1e-2), fresh=True)
    return out


def with_rate(out: dict[str, Any], case: str, d: int) -> dict[str, Any]:
    """What the project's run did: method, evaluations, and its share of the product rate measured at this size."""
    facts = own(draw(case, d), times(case), out["tolerance"]).facts
    gflops = facts.evaluations.sum() * facts.products * 2e-9 * d**3 / (1e-3 * out["ms"])
    out |= {
        "stepping": f"{facts.method}, {facts.form}",
        "evaluations": int(facts.evaluations.sum()),
        "products": facts.products,
    }
    return out | ({"share_of_dgemm": gflops / product_rate(d)} if facts.products and d >= 32 else {})


def reference(case: str, d: int) -> Array:
    """By scipy on the plain field, except on stiff spectra, where that takes minutes: there by the project's DOP853,
    which the other rows and the tests hold against scipy's."""
    q, t = draw(case, d), times(case)
    return project_explicit(q, t, 1e-12) if case.startswith("stiff") else scipy_ivp("DOP853", shared, q, t, 1e-13)


@functools.cache
def product_rate(d: int) -> float:
    """GFLOP/s of d x d products in float64 on this thread, into place."""
    a, b = np.random.default_rng(0).standard_normal((2, d, d))
    out, count = np.empty((d, d)), max(3, int(1e8 / d**3))

    def run() -> None:
        for _ in range(count):
            np.matmul(a, b, out=out)

    return 2e-9 * d**3 * count / harness.measure(run, 5).minimum


def compare(case: str, d: int, peers: Sequence[Peer], memory: bool) -> list[dict[str, Any]]:
    exact = reference(case, d)
    rows = [with_rate(row(case, d, "noncollapse", project, exact, memory), case, d)]
    if case.startswith("stiff"):
        rows.append(row(case, d, "noncollapse, explicit only", project_explicit, exact, False))
    for peer in peers:
        if not harness.installed(peer.package):
            rows.append(
                {"problem": f"{case} d={d}", "method": peer.name, "skipped": f"{peer.package} is not installed"}
            )
        else:
            rows.append(row(case, d, peer.name, peer.solve, exact, memory and peer.package == "scipy"))
    for r in rows:
        if "ms" in r:
            r["slower"] = r["ms"] / rows[0]["ms"]
    return rows


def ensemble(members: int, looped: int) -> list[dict[str, Any]]:
    """The project on all members at once, scipy on `looped` of them one by one; microseconds a member."""
    t, d = times("ensemble"), 8
    qs = [draw("ensemble", d, seed) for seed in range(members)]
    stacked = Problem(*(np.stack([getattr(q, f) for q in qs]) for f in ("W0", "P0", "A", "C")), qs[0].eta)
    exact = np.stack([scipy_ivp("DOP853", shared, q, t, 1e-13) for q in qs[:looped]])
    loop = lambda peer: lambda tol: np.stack([peer.solve(q, t, tol) for q in qs[:looped]])  # noqa: E731
    solvers = [("noncollapse", members, lambda tol: project(stacked, t, tol))]
    solvers += [(p.name + ", looped", looped, loop(p)) for p in PEERS if p.package == "scipy"]
    rows = []
    for name, count, solve in solvers:
        matched = harness.match(
            lambda tol, run=solve: error(run(tol)[:looped], exact), TARGETS["ensemble"], TOLERANCES, stride=4
        )
        timing = harness.measure(functools.partial(solve, matched.tolerance))
        ms = 1e3 * timing.median / count
        rows.append({"problem": "ensemble d=8", "method": f"{name} ({count})", "tolerance": matched.tolerance,
                     "error": matched.error, "ms": ms, "slower": ms / (rows[0]["ms"] if rows else ms)})  # fmt: skip
    return rows


def closed_form(d: int) -> list[dict[str, Any]]:
    """The invariance flow at 100 times: decomposed and kept lazily, with losses and norms; and integrated."""
    q, t = draw("commuting", d), np.linspace(0.0, T_END, 100)
    S = 2 * (q.A - q.C)

    def lazily() -> None:
        flow = LinearFlow.of(q.W0, S, t)
        flow.loss(), flow.norm()

    def integrated() -> None:
        integrate(lambda _, y: invariance.field(y.reshape(1, d, d), S, 0.0).reshape(1, -1), q.W0.reshape(1, -1), t)

    runs = {
        "noncollapse, closed form, loss and norm": lazily,
        "noncollapse, closed form, every W(t)": lambda: list(LinearFlow.of(q.W0, S, t)),
        "noncollapse, closed form, every spectrum": lambda: LinearFlow.of(q.W0, S, t).log_singular_values(),
        "scipy DOP853, rtol 1e-10": integrated,
    }
    rows = [
        {"problem": f"closed form d={d}", "method": n, "ms": 1e3 * harness.measure(run).median}
        for n, run in runs.items()
    ]
    return [r | {"slower": r["ms"] / rows[0]["ms"]} for r in rows]


def goals(rows: Sequence[dict[str, Any]]) -> dict[str, str]:
    """The issue's ratios, each against the fastest of the peers it names."""
    wanted = [("general d=32", "as printed", 2.5), ("ensemble d=8", "looped", 20.0), ("stiff d", "explicit only", 6.0), ("stiff, tight", "explicit only", 6.0), ("stiff d", "scipy", 6.0), ("stiff, tight", "scipy", 6.0),
              ("closed form", "scipy", 30.0)]  # fmt: skip
    wanted += [
        (p, "as printed", 1.7)
        for p in dict.fromkeys(r["problem"] for r in rows)
        if p.startswith("general d=") and int(p[10:]) >= 128
    ]
    said = {}
    for problem, method, least in wanted:
        ratios = [
            r["slower"] for r in rows if "slower" in r and r["problem"].startswith(problem) and method in r["method"]
        ]
        if ratios:
            said[f"{problem}: {method}, at least {least:g}x"] = f"{min(ratios):.3g}x" + (
                "" if min(ratios) >= least else " (missed)"
            )
    return said


def growth(sizes: Sequence[int]) -> dict[str, Any]:
    """Seconds of the general flow against d at one tolerance, and the exponent (3: products)."""
    seconds = [
        harness.measure(functools.partial(project, draw("general", d), times("general"), 1e-6)).median for d in sizes
    ]
    return {"d": list(sizes), "seconds": seconds, "exponent": harness.exponent(sizes, seconds)}


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="smaller sizes and no memory: under 60 s once compiled")
    quick = parser.parse_args(argv).quick
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    sizes, stiff = ((32, 128), 16) if quick else ((32, 128, 256), 16)
    printed = [p for p in PEERS if p.package == "scipy"] if quick else PEERS
    jobs: list[Callable[[], list[dict[str, Any]]]] = [
        *(functools.partial(compare, "general", d, printed, not quick) for d in sizes),
        *(functools.partial(compare, "commuting", d, printed[:1], False) for d in sizes),
        functools.partial(ensemble, *((500, 6) if quick else (5000, 20))),
        *(
            functools.partial(compare, case, stiff, () if quick else EXPLICIT, False)
            for case in ("stiff", "stiff, tight")
        ),
        functools.partial(compare, "aligned", 64 if quick else 128, printed[:1], False),
        functools.partial(closed_form, sizes[-1]),
    ]
    rows = [r for job in tqdm(jobs, file=sys.stderr, disable=bool(os.environ.get("CI"))) for r in job()]
    notes = {"target true error": TARGETS, "goals": goals(rows), "growth": growth((32, 64, 128) if quick else (32, 64, 128, 256, 512)),
             "GFLOP/s of products": {str(d): product_rate(d) for d in sizes}, "limits of this machine": harness.limits()}  # fmt: skip
    path = harness.write("matrix-quick" if quick else "matrix", rows, notes)
    print(path.with_suffix(".md").read_text())
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
