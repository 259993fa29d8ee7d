"""What the published ratios of matrix flows rest on: the peers' fields, the worst member, the aims, the shares of limits."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks import matrix_closed, matrix_goals, matrix_limits, matrix_rows
from benchmarks.matrix_ensembles import stacked
from benchmarks.matrix_peers import exact, project, scipy_ivp
from benchmarks.matrix_problems import EMA, FASTEST, FREE, POPULATION, SAMPLES, SLOWEST, draw

TIMES = np.linspace(0.0, 2.0, 4)


@pytest.mark.parametrize("case", ["general", "commuting", "aligned", EMA, FREE, POPULATION, SAMPLES])
def test_project_and_peers_solve_the_same_flow(case: str) -> None:
    q = draw(case, 5)
    true = exact(q, TIMES)
    assert (
        matrix_rows.error(project(q, TIMES, 1e-11), true) < 1e-9
    )  # the flow amplifies errors of a step by less than 100
    assert matrix_rows.error(scipy_ivp("DOP853", "printed", q, TIMES, 1e-11), true) < 1e-9  # the same
    assert np.abs(true[-1] - true[0]).max() > 0.1 * np.abs(true[0]).max()  # and it moves: by more than a tenth


def test_the_softmax_of_the_samples_is_not_settled_at_the_start() -> None:
    """One that is, at every pair, has no gradient left: a row of it would time nothing."""
    q = draw(SAMPLES, 64)
    scores = q.X @ q.W0.T @ q.W0 @ q.X_plus.T
    chosen = np.exp(np.diag(scores)) / np.exp(scores).sum(1)
    assert chosen.max() < 0.5


def test_the_closed_form_has_a_spectrum_and_is_the_integrated_flow() -> None:
    q, t = draw("closed form", 6), np.linspace(0.0, 8.0, 5)
    rates = np.linspace(SLOWEST, FASTEST, 6)
    assert np.linalg.eigvalsh(q.S) == pytest.approx(rates, rel=1e-12)  # rounding of a product
    true = exact(q, t)
    assert matrix_rows.error(np.stack(matrix_closed.in_full(q, t)), true) < 1e-11  # 100 times the reference's rtol


def test_the_error_of_an_ensemble_is_that_of_its_worst_member() -> None:
    true = np.ones((3, 2, 2, 2)) * np.array([1.0, 100.0, 1.0])[:, None, None, None]
    wrong = true.copy()
    wrong[2, 1, 0, 0] += 1e-3  # 1e-5 of the largest entry of all members
    assert matrix_rows.error(wrong, true) == pytest.approx(1e-3, rel=1e-12)  # float64
    assert matrix_rows.error(np.full((2, 2, 2), np.nan), true[0]) == np.inf


def test_a_stacked_problem_is_its_members() -> None:
    qs = [draw("ensemble", 3, seed) for seed in range(4)]
    alone = np.stack([project(q, TIMES, 1e-9) for q in qs])
    assert matrix_rows.error(project(stacked(qs), TIMES, 1e-9), alone) < 1e-7  # 100 times rtol


def test_aims_stand_against_the_fastest_peer_that_they_name_and_are_called_missed() -> None:
    def row(problem: str, method: str, slower: float) -> dict:
        return {"problem": problem, "method": method, "slower": slower}

    rows = [row("general d=32", "scipy DOP853, as printed", 4.0), row("general d=32", "scipy RK45, as printed", 2.4)]
    rows += [row("general d=32", "scipy DOP853, shared products", 1.1)]
    rows += [row("general d=128", "scipy RK45, as printed", 1.6), row("general d=256", "scipy RK45, as printed", 2.0)]
    assert matrix_goals.goals(rows) == {
        "general, d = 32: as printed, at least 2.5x": "2.4x (missed)",
        "general, d >= 128: as printed, at least 1.7x": "1.6x at d = 128 (missed), 2x at d = 256",
    }
    assert matrix_goals.aims(rows) == {"general d=32": 2.5, "general d=128": 1.7, "general d=256": 1.7}


def test_no_share_is_of_less_than_the_best_rate_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    rates = {32: 20.0, 64: 30.0, 128: 50.0, 256: 80.0, 512: 60.0, 1024: 60.0}
    monkeypatch.setattr(matrix_limits, "product_rate", rates.__getitem__)
    rows = [{"problem": "general d=128", "ms": 10.0, "gflop": 0.4, "gb": 0.1}]
    rows += [{"problem": "closed form d=128", "ms": 10.0, "gflop": 0.4, "eigh_ms": 1.0}, {"problem": "general d=128"}]
    best = matrix_limits.add_shares(rows, {"dgemm_gflops": 70.0, "copy_gb_per_s": 20.0})
    assert (rows[0]["of_limit"], rows[0]["of_d"], rows[0]["of_copy"]) == pytest.approx((0.5, 0.8, 0.5))
    assert rows[1]["of_limit"] == pytest.approx(0.6) and "of_d" not in rows[1]
    assert best == 80.0 and rows[2] == {"problem": "general d=128"}
    fast = [{"problem": "general d=128", "ms": 1.0, "gflop": 0.1}]  # 100 GFLOP/s: itself the best
    assert matrix_limits.add_shares(fast, {"dgemm_gflops": 70.0}) == 100.0 and fast[0]["of_limit"] == 1.0
