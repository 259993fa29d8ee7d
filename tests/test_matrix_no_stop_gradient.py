"""The fast flow without stop-gradient against the plain one, autograd and scipy; wrong flows are told apart."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as budget
from hypothesis import strategies as st
from matrix_cases import GLOBAL, TIMES, distance, gradient_flow, problem
from scipy.integrate import odeint

from dynamics import predictor
from dynamics.lane_products import LANES
from dynamics.matrix_flow import FlowError, Stepping, predictor_flow
from dynamics.matrix_moments import Moments
from dynamics.solver import integrate
from full_models.linear import population_loss

RATES: dict = {"alpha_p": 2.0, "eta": 0.1, "eta_p": 0.3}


def views(seed: int, k: int, d: int, commuting: bool) -> dict:
    """`problem` with B = CᵀA⁻¹C and noise, as views have it: what x tells of x⁺, and what it does not."""
    q = problem(seed, k, d, commuting)
    noise = 0.3 * (np.ones(d) if commuting else np.random.default_rng(seed + 1).random(d))
    told = q["C"].T @ np.linalg.solve(q["A"], q["C"])
    return q | {"B": (told + told.T) / 2 + np.diag(noise)}


def field(q: dict, W, P, alpha_p=1.0, eta=0.0, eta_p=None) -> tuple[np.ndarray, np.ndarray]:
    """By dynamics.predictor, which shares no line with the kernel."""
    dW, dP = predictor.field(W, P, W, q["A"], q["C"], alpha_p, eta, eta if eta_p is None else eta_p)
    return dW + predictor.target_gradient(W, P, q["B"], q["C"]), dP


def plain(q: dict, t=TIMES, **rates) -> tuple[np.ndarray, np.ndarray]:
    """(W, P) (T, ...) by dynamics.solver."""
    k, d = q["W0"].shape
    cut = k * d

    def flat(_: float, y):
        dW, dP = field(q, y[:, :cut].reshape(1, k, d), y[:, cut:].reshape(1, k, k), **rates)
        return np.concatenate([dW.reshape(1, -1), dP.reshape(1, -1)], 1)

    y = integrate(flat, np.concatenate([q["W0"].ravel(), q["P0"].ravel()])[None], t).y[:, 0]
    return y[:, :cut].reshape(-1, k, d), y[:, cut:].reshape(-1, k, k)


@budget(max_examples=40)
@given(
    st.integers(0, 1000), st.integers(1, 6), st.integers(1, 6), st.booleans(), st.sampled_from((0.5, 1.0, 3.0)),
    st.sampled_from((0.0, 0.1)), st.sampled_from((None, 0.0, 0.3)),
)  # fmt: skip
def test_fast_is_plain(seed, k, d, commuting, alpha_p, eta, eta_p) -> None:
    q, rates = views(seed, k, d, commuting), {"alpha_p": alpha_p, "eta": eta, "eta_p": eta_p}
    fast, (W, P) = predictor_flow(**q, t=TIMES, **rates), plain(q, **rates)
    assert fast.facts.products == (0 if fast.facts.form == "modes" else 3 if commuting or d == 1 else 6)
    assert distance(fast.W, W) < GLOBAL and distance(fast.P, P) < GLOBAL  # two integrations, each at rtol


@pytest.mark.parametrize(("k", "d", "commuting"), [(48, 32, False), (64, 64, True), (40, 64, False)])
def test_fast_is_plain_where_products_go_through_blas(k: int, d: int, commuting: bool) -> None:
    q, t = views(d, k, d, commuting), np.array([0.0, 0.2, 1.0])
    fast, (W, P) = predictor_flow(**q, t=t, **RATES), plain(q, t, **RATES)
    assert distance(fast.W, W) < GLOBAL and distance(fast.P, P) < GLOBAL  # as above


@pytest.mark.parametrize("wrong", ["B", "no B", "C", "A", "eta", "eta_p", "alpha_p"])
def test_a_wrong_flow_is_told_apart(wrong: str) -> None:
    q = views(3, 4, 5, commuting=False)
    W, _ = plain(q, **RATES)
    changed = {"B": {"B": 1.01 * q["B"]}, "no B": {"B": None}, "C": {"C": q["C"].T}, "A": {"A": 1.01 * q["A"]}}
    change = changed.get(wrong, {wrong: 0.2})
    assert distance(predictor_flow(**{**q, **RATES, **change}, t=TIMES).W, W) > 1e3 * GLOBAL  # of order one


@pytest.mark.parametrize("commuting", [True, False])
def test_it_descends_the_loss_through_both_branches(commuting: bool) -> None:
    q, t = views(5, 3, 4, commuting), np.linspace(0, 3, 5)
    A, B, C, P = (torch.tensor(q[name]) for name in ("A", "B", "C", "P0"))
    flow = predictor_flow(**q, t=t, alpha_p=0.0, eta_p=0.0)  # P stands still
    true = gradient_flow(lambda W: population_loss(W, P, W, A, B, C), q["W0"], t)
    assert distance(flow.W, true) < GLOBAL  # two integrations, each at rtol
    assert distance(predictor_flow(**{**q, "B": None}, t=t, alpha_p=0.0, eta_p=0.0).W, true) > 1e3 * GLOBAL


def aligned(k: int, d: int) -> dict:
    rng = np.random.default_rng(k)
    U, O = (np.linalg.qr(rng.standard_normal((n, n)))[0] for n in (d, k))
    w = np.zeros((k, d))
    w[range(min(k, d)), range(min(k, d))] = 0.3 + rng.random(min(k, d))
    A, B, C = ((U * spectrum) @ U.T for spectrum in (1.0 + rng.random(d), 1.0 + rng.random(d), rng.random(d)))
    q = {"W0": O @ w @ U.T, "P0": (O * rng.random(k)) @ O.T}
    return q | {name: (M + M.T) / 2 for name, M in (("A", A), ("B", B), ("C", C))}


@pytest.mark.parametrize(("k", "d"), [(4, 4), (3, 5), (5, 3)])
def test_an_aligned_start_falls_apart_into_modes(k: int, d: int) -> None:
    q = aligned(k, d)
    fast, (W, P) = predictor_flow(**q, t=TIMES, **RATES), plain(q, **RATES)
    assert fast.facts.form == "modes" and len(fast.facts.evaluations) == k
    assert distance(fast.W, W) < GLOBAL and distance(fast.P, P) < GLOBAL  # two integrations, each at rtol


@pytest.mark.parametrize("coupling", [1e-13, 1e-2])
def test_modes_that_only_B_couples_do_not_fall_apart(coupling: float) -> None:
    q = aligned(3, 3)
    E = coupling * (np.eye(3)[[1, 0, 2]] - np.diag([0.0, 0.0, 1.0]))
    assert Moments.of(q["A"], q["C"], 1, 3, q["B"]).C.shape == (1, 6, 0)
    assert Moments.of(q["A"], q["C"], 1, 3, q["B"] + E).C.shape == (1, 6, 3)
    q["B"] = q["B"] + E
    fast, (W, _) = predictor_flow(**q, t=TIMES, **RATES), plain(q, **RATES)
    assert fast.facts.form == "matrix" and fast.facts.products == 6
    assert distance(fast.W, W) < GLOBAL  # two integrations, each at rtol


def test_members_are_each_a_flow_of_their_own() -> None:
    qs = [views(seed, 3, 4, seed % 2 == 0) for seed in range(4)]
    batch = {name: np.stack([q[name] for q in qs]) for name in qs[0]}
    eta = np.array([0.0, 0.1, 0.2, 0.3])
    fast = predictor_flow(**batch, t=TIMES, eta=eta)
    for i, q in enumerate(qs):
        W, P = plain(q, eta=eta[i])
        assert distance(fast.W[i], W) < GLOBAL and distance(fast.P[i], P) < GLOBAL  # two integrations, each at rtol


@pytest.mark.parametrize("commuting", [True, False])
@pytest.mark.parametrize(("k", "d"), [(1, 1), (4, 5), (8, 8)])
def test_lanes_take_the_steps_of_the_single_path(k: int, d: int, commuting: bool) -> None:
    qs = [views(seed, k, d, commuting) for seed in range(2 * LANES + 1)]
    batch = {name: np.stack([q[name] for q in qs]) for name in qs[0]}
    asked: dict = {
        "t": np.linspace(0, 6, 40),
        "eta": 0.05,
        "levels": (0.7, 0.1),
        "stepping": Stepping(1e-8, method="DOP853"),
    }
    together = predictor_flow(**batch, **asked)
    for i, q in enumerate(qs):
        alone = predictor_flow(**q, **asked)
        assert alone.facts.evaluations[0] == together.facts.evaluations[i]
        assert (
            distance(alone.W, together.W[i]) < 1e-11
        )  # the same steps: rounding, 1e-16 over 10³ operations, amplified
        gap = np.abs(alone.facts.passages[0] - together.facts.passages[i])
        assert np.nanmax(gap, initial=0.0) < 1e-8  # that, over slopes of 1e-2 and more
    assert np.isfinite(together.facts.passages[:, 0]).all()


def test_a_stiff_member_is_left_to_the_driver() -> None:
    qs = [views(seed, 3, 4, commuting=False) for seed in range(LANES)]
    qs[1] |= {name: qs[1][name] + 300.0 * np.diag([0.0, 0.0, 0.0, 1.0]) for name in ("A", "B")}
    batch = {name: np.stack([q[name] for q in qs]) for name in qs[0]}
    t = np.array([0.0, 20.0])
    together, alone = predictor_flow(**batch, t=t), predictor_flow(**qs[1], t=t)
    assert np.flatnonzero(together.facts.stabilised_steps).tolist() == [1]
    assert together.facts.evaluations[1] == alone.facts.evaluations[0]


def test_a_stiff_flow_is_that_of_scipy() -> None:
    """Fast noise on some inputs, 300 times as much as on others: stability, not error, holds an explicit step."""
    q, t = views(1, 4, 4, commuting=False), np.array([0.0, 1.0, 5.0, 40.0])
    strong = 150.0 * np.diag([0.0, 0.0, 1.0, 1.0])
    q |= {"A": q["A"] + strong, "B": q["B"] + strong}
    y0 = np.concatenate([q["W0"], q["P0"]], None)

    def flat(y, _):
        return np.concatenate(field(q, y[:16].reshape(4, 4), y[16:].reshape(4, 4)), None)

    W = odeint(flat, y0, t, rtol=1e-12, atol=1e-15, mxstep=200_000)[:, :16].reshape(-1, 4, 4)
    fast = predictor_flow(**q, t=t)
    assert fast.facts.method == "DOP853 then RKL4" and fast.facts.spectral_radius > 100.0  # the noise's own rate
    assert distance(fast.W, W) < GLOBAL  # two integrations, the coarser one at rtol
    for rtol in (1e-4, 1e-6):
        W_stable = predictor_flow(**q, t=t, stepping=Stepping(rtol, method="RKL4")).W
        assert distance(W_stable, W) < 100 * rtol  # as STIFF of test_matrix_hard


@pytest.mark.parametrize(
    ("change", "says"),
    [({"V0": np.ones((2, 3))}, "give V0 or B, not both"), ({"B": np.triu(np.ones((3, 3)))}, r"B = E\[x⁺x⁺ᵀ\] must be symmetric"),
     ({"B": np.eye(2)}, "B has shape"), ({"B": np.full((3, 3), np.nan)}, "B has shape"), ({"B": "a"}, "B is not made of real")],
)  # fmt: skip
def test_bad_input_gets_one_sentence(change: dict, says: str) -> None:
    with pytest.raises(FlowError, match=says) as caught:
        predictor_flow(**{**views(0, 2, 3, commuting=True), "t": TIMES, **change})
    assert "\n" not in str(caught.value)
