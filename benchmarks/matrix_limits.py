"""What the machine's rates of products, of copies and of LAPACK leave of a matrix flow's time.

of_limit      least time over the time taken: products (counted, "gflop") at the best rate seen at any size, the flows' own among
              them, plus, where a flow
              is solved in an eigenbasis, LAPACK's eigendecomposition as measured beside ("eigh_ms")
of_d          the same with products at the rate of their own size d: a share of numpy's products, no bound
of_copy       states written, or read and written, once a use ("gb"), over the rate of a copy: where they outgrow the caches
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks import harness
from benchmarks.matrix_problems import Flow
from dynamics.matrix_explicit import STAGES, TABLEAU
from dynamics.matrix_problem import Facts

CACHE = 8 * 2**20  # bytes: stages of a state beyond this are not kept near one core
SIZES = (32, 64, 128, 256, 512, 1024)


@functools.cache
def product_rate(d: int) -> float:
    """GFLOP/s of d x d products in float64 on this thread, into place."""
    a, b = np.random.default_rng(0).standard_normal((2, d, d))
    out, count = np.empty((d, d)), max(3, int(1e8 / d**3))

    def run() -> None:
        for _ in range(count):
            np.matmul(a, b, out=out)

    return 2e-9 * d**3 * count / harness.measure(run, 5).minimum


def best_rate(rows: Sequence[Mapping[str, Any]], limits: Mapping[str, float]) -> float:
    """GFLOP/s of the fastest products seen: at any size, in `harness.limits`, in a flow that did little else."""
    flows = (1e3 * r["gflop"] / r["ms"] for r in rows if "gflop" in r and "ms" in r)
    return max(limits["dgemm_gflops"], *(product_rate(d) for d in SIZES), *flows)


def traffic(facts: Facts, n: int) -> float:
    """GB that DOP853's weighted sums of stages read and write for a state of n entries; products not counted."""
    weights, _, E5, E3, _ = TABLEAU
    a_step = sum(np.count_nonzero(x) for x in (weights, E5, E3)) + 2 * STAGES
    return 8e-9 * n * a_step * facts.evaluations.sum() / STAGES


def add_shares(rows: Sequence[dict[str, Any]], limits: Mapping[str, float]) -> float:
    """Adds the shares to the rows that have counts (of an ensemble per member, as its ms); the best rate of products."""
    best = best_rate(rows, limits)
    for r in rows:
        if "ms" not in r:
            continue
        if "gflop" in r:
            fixed, d = r.get("eigh_ms", 0.0), int(r["problem"].rsplit("=", 1)[1])
            r["of_limit"] = (1e3 * r["gflop"] / best + fixed) / r["ms"]
            if d >= SIZES[0] and "eigh_ms" not in r:
                r["of_d"] = 1e3 * r["gflop"] / product_rate(d) / r["ms"]
        if "gb" in r:
            r["of_copy"] = 1e3 * r["gb"] / limits["copy_gb_per_s"] / r["ms"]
    return best


def add_counts(r: dict[str, Any], q: Flow, facts: Facts) -> None:
    """Adds what the project's run did: its method, evaluations a member, products an evaluation, their operations a member; and
    the traffic of a state that outgrows the caches."""
    members, n = r.get("members", 1), sum(x.size for x in q.starts)
    r |= {"stepping": f"{facts.method}, {facts.form}", "evaluations": int(facts.evaluations.sum() / members),
          "products": facts.products}  # fmt: skip
    if facts.products:
        r["gflop"] = q.gflop(facts.products) * facts.evaluations.sum() / members
    if facts.form == "matrix" and members == 1 and 8 * n * (STAGES + 1) > CACHE:
        r["gb"] = traffic(facts, n)
