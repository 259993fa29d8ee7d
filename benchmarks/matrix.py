"""Matrix flows: the project and its peers in one run, at matched true error. `python -m benchmarks.matrix [--quick]`.

The system is the predictor flow with stop-gradient, online target, k = d. Starts have independent Gaussian entries of
standard deviation 0.7 / √d unless said. general: C non-symmetric, not commuting with A; commuting: isotropic noise;
ensemble: members with starts and moments of their own; aligned: a start in the shared eigenbasis; closed form: the
invariance flow at 100 times; stiff: see `benchmarks.matrix_stiff`. The true error is max |W - exact| over max |exact| at
five times, exact by scipy's DOP853 at rtol 1e-13 (stiff: `matrix_stiff.reference`); each method runs at the loosest
tolerance that keeps it below the target, in steps of 10^(1/4). One core: the process is bound to one.
"""

from __future__ import annotations

import argparse
import functools
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

from benchmarks import harness, plot

import numpy as np  # isort: skip  after the harness, which sets the thread counts
from tqdm import tqdm

from benchmarks import matrix_stiff
from benchmarks.matrix_peers import PEERS, Array, Peer, Problem, error, own, project, scipy_ivp, shared
from dynamics import invariance
from dynamics.linear_flow import LinearFlow
from dynamics.matrix_flow import Stepping
from dynamics.matrix_modes import aligned
from dynamics.matrix_problem import Moments, rates
from dynamics.solver import integrate

TOLERANCES = 10.0 ** -np.arange(2.0, 12.25, 0.25)
TARGET = 1e-6
TIMES = np.linspace(0.0, 8.0, 6)
Solve = Callable[[Problem, Array, float], Array]


def draw(case: str, d: int, seed: int = 0) -> Problem:
    """Starts of order one (0.7 / √d an entry), moments of order one."""
    rng = np.random.default_rng([seed, d])
    rotation = lambda: np.linalg.qr(rng.standard_normal((d, d)))[0]  # noqa: E731
    W0, P0 = (0.7 * rng.standard_normal((d, d)) / np.sqrt(d) for _ in range(2))
    U = rotation()
    X = (U * np.linspace(0.3, 2.0, d)) @ U.T
    if case in ("commuting", "aligned"):
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


def row(case: str, d: int, name: str, solve: Solve, exact: Array, memory: bool) -> dict[str, Any]:
    """One line of the table: the tolerance matched, milliseconds, memory."""
    q, t, start = draw(case, d), TIMES, {"problem": f"{case} d={d}", "method": name}
    matched = harness.match(lambda tol: error(solve(q, t, tol), exact), TARGET, TOLERANCES, stride=4)
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
    facts = own(draw(case, d), TIMES, out["tolerance"]).facts
    gflops = facts.evaluations.sum() * facts.products * 2e-9 * d**3 / (1e-3 * out["ms"])
    out |= {
        "stepping": f"{facts.method}, {facts.form}",
        "evaluations": int(facts.evaluations.sum()),
        "products": facts.products,
    }
    return out | ({"share_of_dgemm": gflops / product_rate(d)} if facts.products and d >= 32 else {})


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
    """A row of the project, and one of each peer, "slower": times the project's."""
    exact = scipy_ivp("DOP853", shared, draw(case, d), TIMES, 1e-13)
    rows = [with_rate(row(case, d, "noncollapse", project, exact, memory), case, d)]
    if case == "aligned":
        rows += parts_of_aligned(d, rows[0]["tolerance"])
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


def parts_of_aligned(d: int, tol: float) -> list[dict[str, Any]]:
    """Where the time of the aligned start goes: finding the modes (an eigendecomposition of d x d), and integrating them."""
    q, how = draw("aligned", d), Stepping(tol, tol / 100)
    m = Moments.of(q.A, q.C, 1, d)
    modes = aligned(m, q.W0[None], q.P0[None], None)
    if modes is None:
        raise RuntimeError("the aligned start was not found to be aligned: a fault of draw or of dynamics.matrix_modes")
    runs = {
        "noncollapse, only the eigendecomposition": lambda: np.linalg.eigh(q.A),
        "noncollapse, only the modes integrated": lambda: modes.solve(rates(1, 1.0, q.eta, q.eta, 1.0), TIMES, how),
    }
    return [
        {"problem": f"aligned d={d}", "method": n, "ms": 1e3 * harness.measure(run).median} for n, run in runs.items()
    ]


def ensemble(members: int, looped: int, d: int) -> list[dict[str, Any]]:
    """The project on all members at once, scipy on `looped` of them one by one; milliseconds a member."""
    qs = [draw("ensemble", d, seed) for seed in range(members)]
    stacked = Problem(*(np.stack([getattr(q, f) for q in qs]) for f in ("W0", "P0", "A", "C")), qs[0].eta)
    exact = np.stack([scipy_ivp("DOP853", shared, q, TIMES, 1e-13) for q in qs[:looped]])
    loop = lambda peer: lambda tol: np.stack([peer.solve(q, TIMES, tol) for q in qs[:looped]])  # noqa: E731
    solvers = [("noncollapse", members, lambda tol: project(stacked, TIMES, tol))]
    solvers += [(p.name + ", looped", looped, loop(p)) for p in PEERS if p.package == "scipy"]
    rows = []
    for name, count, solve in solvers:
        matched = harness.match(lambda tol, run=solve: error(run(tol)[:looped], exact), TARGET, TOLERANCES, stride=4)
        if matched.tolerance is None:
            raise RuntimeError(f"{name}: error {matched.error:.1e} even at the tightest tolerance")
        timing = harness.measure(functools.partial(solve, matched.tolerance))
        ms = 1e3 * timing.median / count
        rows.append({"problem": f"ensemble d={d}", "method": name, "members": count, "tolerance": matched.tolerance,
                     "error": matched.error, "ms": ms, "slower": ms / (rows[0]["ms"] if rows else ms)})  # fmt: skip
    facts = own(stacked, TIMES, rows[0]["tolerance"]).facts
    flops = facts.evaluations.sum() * facts.products * 2 * d**3
    rows[0] |= {
        "stepping": f"{facts.method}, {facts.form}", "evaluations": int(facts.evaluations.mean()), "products": facts.products,
        "share_of_dgemm": 1e-9 * flops / (1e-3 * rows[0]["ms"] * members) / product_rate(256),
    }  # fmt: skip
    return rows


def closed_form(d: int) -> list[dict[str, Any]]:
    """The invariance flow at 100 times: decomposed and kept lazily, with losses and norms; and integrated."""
    q, t = draw("commuting", d), np.linspace(0.0, TIMES[-1], 100)
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
    """The ratios aimed at and reached, each against the fastest of the peers that it names."""
    wanted = [("general d=32", "as printed", 2.5), ("ensemble d=8", "looped", 20.0), ("closed form", "scipy", 30.0)]
    wanted += [(case, method, 6.0) for case in matrix_stiff.CASES for method in ("explicit only", "scipy")]
    large = {r["problem"] for r in rows if r["problem"].startswith("general d=") and int(r["problem"][10:]) >= 128}
    wanted += [(problem, "as printed", 1.7) for problem in sorted(large)]
    said = {}
    for problem, method, least in wanted:
        ratios = [
            r["slower"] for r in rows if "slower" in r and r["problem"].startswith(problem) and method in r["method"]
        ]
        if ratios:
            missed = "" if min(ratios) >= least else " (missed)"
            said[f"{problem}: {method}, at least {least:g}x"] = f"{min(ratios):.3g}x{missed}"
    return said


def growth(sizes: Sequence[int]) -> dict[str, Any]:
    """Seconds of the general flow against d at one tolerance, and the exponent (3: products)."""
    seconds = [harness.measure(functools.partial(project, draw("general", d), TIMES, 1e-6)).median for d in sizes]
    return {"d": list(sizes), "seconds": seconds, "exponent": harness.exponent(sizes, seconds)}


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="smaller sizes and no memory: under 60 s once compiled")
    quick = parser.parse_args(argv).quick
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    sizes, draws = ((32, 128), 1) if quick else ((32, 128, 256), 5)
    peers = [p for p in PEERS if p.package == "scipy"] if quick else PEERS
    jobs: list[Callable[[], list[dict[str, Any]]]] = [
        *(functools.partial(compare, "general", d, peers, not quick) for d in sizes),
        *(functools.partial(compare, "commuting", d, peers[:1], False) for d in sizes),
        *(
            functools.partial(ensemble, *((500, 6) if quick else (2000, 20)), d)
            for d in ((8,) if quick else (2, 8, 16))
        ),
        *(functools.partial(matrix_stiff.compare, case, range(draws), not quick) for case in matrix_stiff.CASES),
        functools.partial(compare, "aligned", 64 if quick else 128, peers[:1], False),
        functools.partial(closed_form, sizes[-1]),
    ]
    rows = [r for job in tqdm(jobs, file=sys.stderr, disable=bool(os.environ.get("CI"))) for r in job()]
    notes = {
        "target true error": {"all but stiff": TARGET}
        | {case: target for case, (_, target) in matrix_stiff.CASES.items()},
        "goals": goals(rows),
        "stiff draws near a saddle": matrix_stiff.saddles(range(draws)),
        "growth": growth((32, 64, 128) if quick else (32, 64, 128, 256, 512)),
        "GFLOP/s of products": {str(d): product_rate(d) for d in sizes},
        "limits of this machine": harness.limits(),
    }
    name = "matrix-quick" if quick else "matrix"
    path = harness.write(name, rows, notes)
    plot.bars(name, rows, "ms", "time (ms; of an ensemble: per member; one core)")
    print(path.with_suffix(".md").read_text())
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
