"""The fast matrix flows against the plain ones and against autograd; wrong flows are told apart, bad input is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as budget
from hypothesis import strategies as st
from matrix_cases import GLOBAL, TIMES, distance, gradient_flow, plain, problem
from scipy.linalg import expm

from dynamics import predictor
from dynamics.matrix_flow import (
    FlowError,
    MatrixFlow,
    Stepping,
    info_nce_flow,
    info_nce_sample_flow,
    predictor_flow,
)
from dynamics.matrix_moments import Moments
from dynamics.solver import ATOL, SolverError
from full_models.losses import info_nce


@budget(max_examples=40)
@given(
    st.integers(0, 1000), st.integers(1, 6), st.integers(1, 6), st.booleans(), st.sampled_from((None, 0.0, 0.6)),
    st.sampled_from((0.5, 1.0, 3.0)), st.sampled_from((0.0, 0.1)), st.sampled_from((None, 0.0, 0.3)), st.sampled_from((0.2, 1.5)),
)  # fmt: skip
def test_fast_is_plain(seed, k, d, commuting, tau0, alpha_p, eta, eta_p, beta) -> None:
    q = problem(seed, k, d, commuting)
    rates = {
        "alpha_p": alpha_p,
        "eta": eta,
        "eta_p": eta_p,
        "beta": beta,
        "V0": None if tau0 is None else tau0 * q["W0"],
    }
    fast, (W, P) = predictor_flow(**q, t=TIMES, **rates), plain(q, **rates)
    assert fast.facts.products == (0 if fast.facts.form == "modes" else 3 if commuting or d == 1 else 4)
    assert distance(fast.W, W) < GLOBAL and distance(fast.P, P) < GLOBAL  # two integrations, each at rtol


@pytest.mark.parametrize(
    "wrong", [{"beta": 0.5}, {"eta": 0.0}, {"eta_p": 0.1}, {"alpha_p": 1.0}, {"V0": None}, {"C": "T"}, {"A": "scaled"}]
)
def test_a_wrong_flow_is_told_apart(wrong: dict) -> None:
    q = problem(3, 4, 5, commuting=False)
    rates = {"alpha_p": 2.0, "eta": 0.1, "eta_p": 0.3, "beta": 0.4, "V0": 0.5 * q["W0"]}
    W, _ = plain(q, **rates)
    wrong = {**wrong, **({"C": q["C"].T} if "C" in wrong else {"A": 1.01 * q["A"]} if "A" in wrong else {})}
    assert (
        distance(predictor_flow(**{**q, **rates, **wrong}, t=TIMES).W, W) > 1e3 * GLOBAL
    )  # of order one, not rounding


@given(st.integers(0, 50), st.booleans(), st.sampled_from((0.5, 2.5)))
@budget(max_examples=10)
def test_balance_is_conserved(seed: int, commuting: bool, alpha_p: float) -> None:
    q = problem(seed, 4, 5, commuting)
    run = predictor_flow(**q, t=TIMES, alpha_p=alpha_p, eta=0.1, V0=0.3 * q["W0"])
    assert run.P is not None
    law = np.exp(-0.2 * TIMES)[:, None, None] * predictor.balance(q["W0"], q["P0"], alpha_p)
    assert (
        distance(predictor.balance(run.W, run.P, alpha_p), law) < GLOBAL
    )  # Theorem 1, exact; what drifts is the integrator
    assert distance(predictor.balance(run.W, run.P, 1.0), law) > 1e3 * GLOBAL  # without alpha_p it is not conserved


@pytest.mark.parametrize(("k", "d"), [(4, 4), (3, 5), (5, 3)])
@pytest.mark.parametrize("tau0", [None, 0.4])
def test_an_aligned_start_falls_apart_into_modes(k: int, d: int, tau0: float | None) -> None:
    rng = np.random.default_rng(k)
    U, O = (np.linalg.qr(rng.standard_normal((n, n)))[0] for n in (d, k))
    w = np.zeros((k, d))
    w[range(min(k, d)), range(min(k, d))] = 0.3 + rng.random(min(k, d))
    A, C = ((U * spectrum) @ U.T for spectrum in (1.0 + rng.random(d), rng.random(d)))
    q = {"W0": O @ w @ U.T, "P0": (O * rng.random(k)) @ O.T, "A": (A + A.T) / 2, "C": (C + C.T) / 2}
    rates = {"eta": 0.05, "alpha_p": 2.0, "V0": None if tau0 is None else tau0 * q["W0"]}
    fast, (W, P) = predictor_flow(**q, t=TIMES, **rates), plain(q, **rates)
    assert fast.facts.form == "modes" and len(fast.facts.evaluations) == k
    assert distance(fast.W, W) < GLOBAL and distance(fast.P, P) < GLOBAL  # two integrations, each at rtol
    q["P0"] = q["P0"] + 1e-6 * rng.standard_normal((k, k))
    assert predictor_flow(**q, t=TIMES, **rates).facts.form == "matrix"


SLOW_AND_FAST = np.diag([0.3, 0.9])  # C; with A = 1 one output ends in the mode of 0.9 if that has any seed at all


@pytest.mark.parametrize(("seed", "atol"), [(1e-13, ATOL), (1e-20, 1e-30)])
def test_a_small_mode_that_grows_is_kept(seed: float, atol: float) -> None:
    t, how = np.array([0.0, 600.0]), Stepping(atol=atol)  # the seed grows like e^{0.18 t}: 1e20 by t = 256
    grown = predictor_flow(np.array([[1.0, seed]]), np.eye(1), np.eye(2), SLOW_AND_FAST, t, stepping=how)
    assert distance(np.abs(grown.W[-1]), [[0.0, 0.9]]) < GLOBAL  # p = |w| on the parabola rests at c/a
    alone = predictor_flow(np.eye(1, 2), np.eye(1), np.eye(2), SLOW_AND_FAST, t, stepping=how)
    assert alone.facts.form == "modes"
    assert distance(alone.W[-1], [[0.3, 0.0]]) < GLOBAL  # without a seed nothing grows


@pytest.mark.parametrize("atol", [ATOL, 1e-30])
def test_a_small_coupling_that_grows_is_kept(atol: float) -> None:
    """5e-14 in P0 drives W[0, 1], which grows like e^{(1.1 (2 - 1.1) - 0.2) t}: faster than either mode."""
    W0, P0, t = np.diag([0.8, 0.6]), np.array([[1.1, 0.0], [5e-14, 0.1]]), np.array([0.0, 60.0])
    rates = {"alpha_p": 0.0, "eta": 0.2, "eta_p": 0.0, "stepping": Stepping(atol=atol)}
    run = predictor_flow(W0, P0, np.eye(2), np.diag([0.7, 2.0]), t, **rates)
    true = expm(60 * (2.0 * P0.T - P0.T @ P0 - 0.2 * np.eye(2))) @ W0[:, 1]  # P stands still: the flow is linear
    assert true[0] > 1e7 and run.W[-1, 0, 1] == pytest.approx(true[0], rel=GLOBAL)


@pytest.mark.parametrize("d", [16, 64])
def test_rounding_couples_no_modes(d: int) -> None:
    """Random spectra have gaps of 1e-3 and less, over which rounding turns eigenvectors by 1e-13."""
    for seed in range(5):
        rng = np.random.default_rng(seed)
        U, O = (np.linalg.qr(rng.standard_normal((d, d)))[0] for _ in range(2))
        A, C = ((U * spectrum) @ U.T for spectrum in (1.0 + rng.random(d), rng.random(d)))
        W0, P0 = (O * (0.3 + rng.random(d))) @ U.T, (O * (0.3 + rng.random(d))) @ O.T
        q = {"W0": W0, "P0": P0, "A": (A + A.T) / 2, "C": (C + C.T) / 2, "t": TIMES}
        assert predictor_flow(**q).facts.form == "modes"
        q["P0"] = P0 + 2e-12 * np.eye(d)[rng.permutation(d)]
        assert predictor_flow(**q).facts.form == "matrix"


@pytest.mark.parametrize("W0", [[[0.5, 0.1], [0.2, 0.4]], [[0.5, 0.0], [0.0, 0.4]]])
def test_a_start_whose_square_overflows_is_no_start_of_zeros(W0: list) -> None:
    huge = 1e155 * np.array(W0)
    assert (predictor_flow(huge, np.eye(2), np.eye(2), np.eye(2), np.zeros(1)).W[0] == huge).all()
    with pytest.raises(SolverError, match="blew up near t = 0"):
        predictor_flow(huge, np.eye(2), np.eye(2), np.eye(2), TIMES)


def test_moments_that_couple_modes_a_little_do_not_commute() -> None:
    """C[1, 0] = -1e-13 seeds the second mode; the symmetric part of C is diagonal."""
    C, t = SLOW_AND_FAST + 1e-13 * np.array([[0.0, 1.0], [-1.0, 0.0]]), np.array([0.0, 600.0])
    run = predictor_flow(np.eye(1, 2), np.eye(1), np.eye(2), C, t)
    assert run.facts.products == 4 and distance(np.abs(run.W[-1]), [[0.0, 0.9]]) < GLOBAL  # as above


@pytest.mark.parametrize("d", [2, 5, 16])
def test_moments_that_commute_are_found_to_whatever_their_gaps(d: int) -> None:
    for seed in range(10):
        rng = np.random.default_rng(seed)
        U = np.linalg.qr(rng.standard_normal((d, d)))[0]
        A, C = ((U * spectrum) @ U.T for spectrum in (1.0 + rng.random(d), rng.random(d)))
        assert Moments.of((A + A.T) / 2, (C + C.T) / 2, 1, d).C.size == 0  # only rounding lies off the diagonals
        C[0, 1] += 1e-12
        assert Moments.of((A + A.T) / 2, C, 1, d).C.size > 0  # 50 times what counts as rounding


@pytest.mark.parametrize("commuting", [True, False])
@pytest.mark.parametrize(("k", "d"), [(4, 3), (3, 5), (1, 4), (2, 4)])
def test_info_nce_population_flow_descends_its_loss(k: int, d: int, commuting: bool) -> None:
    q, tau, t = problem(4, k, d, commuting), 0.7, np.linspace(0, 3, 5)
    A, C = torch.tensor(q["A"]), torch.tensor(q["C"])

    def loss(W):
        M = W @ A @ W.T
        return -torch.trace(W @ C @ W.T) / tau + torch.trace(M @ M) / (2 * tau**2)

    flow = info_nce_flow(q["W0"], q["A"], q["C"], t, tau=tau)
    assert distance(flow.W, gradient_flow(loss, q["W0"], t)) < GLOBAL  # two integrations, each at rtol
    assert flow.facts.products == (3 if 2 * k < d and not commuting else 2)  # as many as its velocity makes
    assert distance(info_nce_flow(q["W0"], q["A"], q["C"], t, tau=1.0).W, flow.W) > 1e3 * GLOBAL


def test_the_population_loss_is_the_limit_of_the_sample_loss() -> None:
    rng, N, R = np.random.default_rng(0), 512, 40
    W, sigma = torch.tensor(0.3 * rng.standard_normal((2, 3))), 0.5
    x = torch.tensor(rng.standard_normal((R, N, 3)))
    noise = torch.tensor(rng.standard_normal((2, R, N, 3))) * sigma
    losses = info_nce((x + noise[0]) @ W.T, (x + noise[1]) @ W.T, tau=1.0, critic="dot").numpy() - np.log(N)
    M = (W @ W.T).numpy()
    limit = -np.trace(M) + (1 + sigma**2) ** 2 * np.trace(M @ M) / 2
    assert (
        abs(losses.mean() - limit) < 4 * losses.std(ddof=1) / np.sqrt(R) + 2 / N
    )  # 4 SE of 40 draws, and the O(1/N) bias


def test_what_is_materialised_is_materialised_when_asked() -> None:
    run = predictor_flow(**problem(0, 3, 4, True), t=TIMES)
    assert isinstance(run, MatrixFlow) and "W" not in vars(run)
    assert run.W.shape == (7, 3, 4) and "W" in vars(run) and run.V is run.W


Q = problem(0, 2, 3, commuting=True)


@pytest.mark.parametrize(
    ("change", "says"),
    [({"P0": np.eye(3)}, "P0 has shape"), ({"A": np.eye(2)}, "A has shape"), ({"A": np.triu(np.ones((3, 3)))}, "must be symmetric"),
     ({"A": np.ones((4, 3, 3))}, r"A has shape \(4, 3, 3\)"), ({"W0": [[1, 2], [3]]}, "W0 is not made"),
     ({"t": np.array([1.0, 0.0])}, "rising"), ({"eta": -1.0}, "a rate is -1"), ({"eta": np.nan}, "a rate is nan"),
     ({"W0": np.full((2, 3), np.nan)}, "W0 has an entry that is not finite"), ({"P0": np.diag([np.inf, 1.0])}, "P0 has an entry"), ({"V0": np.full((2, 3), np.inf)}, "V0 has an entry"), ({"C": np.full((3, 3), np.inf)}, "C has shape"),
     ({"beta": np.ones(2)}, "a rate has shape"), ({"V0": np.ones((3, 3))}, "V0 has shape"),
     ({"W0": np.ones((1, 1, 2, 3))}, "W0 has shape"), ({"W0": 1.0}, "W0 has shape"), ({"W0": np.ones((0, 2, 3))}, "W0 has shape"),
     ({"W0": np.ones((2, 3)) * 1j}, "W0 is not made of real"), ({"P0": [["a"]]}, "P0 is not made"), ({"V0": [[1], [1, 2]]}, "V0 is not"),
     ({"C": np.ones(3)}, "C has shape"), ({"A": 1.0}, "A has shape"), ({"eta": "small"}, "a rate is not"), ({"t": "long"}, "t is not"),
     ({"levels": (0.5, -1.0)}, "levels ="), ({"levels": (0.0,)}, "levels ="), ({"levels": (np.nan,)}, "levels ="),
     ({"levels": np.array([0.5, -2.0])}, "levels ="), ({"levels": 0.5}, "levels ="), ({"levels": ("a",)}, "levels is not made")],
)  # fmt: skip
def test_bad_input_gets_one_sentence(change: dict, says: str) -> None:
    with pytest.raises(FlowError, match=says) as caught:
        predictor_flow(**{**Q, "t": TIMES, **change})
    assert "\n" not in str(caught.value)
    for method in ("Euler", ["auto"]):
        with pytest.raises(FlowError, match="not one of"):
            Stepping(method=method)  # pyright: ignore[reportArgumentType]
    for rtol in (0.0, "a", np.array([1e-3, 1e-4])):
        with pytest.raises(FlowError, match="rtol"):
            Stepping(rtol=rtol)  # pyright: ignore[reportArgumentType]
    with pytest.raises(FlowError, match="temperature"):
        info_nce_flow(Q["W0"], Q["A"], Q["C"], TIMES, tau=0.0)
    with pytest.raises(FlowError, match="temperature"):
        info_nce_flow(Q["W0"], Q["A"], Q["C"], TIMES, tau=np.ones(2))  # pyright: ignore[reportArgumentType]
    with pytest.raises(FlowError, match="W0 is not made"):
        info_nce_flow([[1, 2], [3]], Q["A"], Q["C"], TIMES)  # pyright: ignore[reportArgumentType]
    levels: Any = np.array([0.5, 2.0])  # as good as a tuple
    assert predictor_flow(**Q, t=TIMES, levels=levels).facts.passages.shape == (1, 2)
    for wrong in (np.ones(3), np.ones((3, 2))):
        with pytest.raises(FlowError, match="C has shape"):
            info_nce_flow(Q["W0"], Q["A"], wrong, TIMES)
    with pytest.raises(FlowError, match="one row a pair"):
        info_nce_sample_flow(Q["W0"], np.ones((4, 3)), np.ones((5, 3)), TIMES)
