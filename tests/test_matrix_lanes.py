"""Members side by side in lanes: the same steps as one by one, blind to their neighbours, and none lost."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as budget
from hypothesis import strategies as st
from matrix_cases import GLOBAL, TIMES, distance, plain, problem

from dynamics.lane_products import LANES, product
from dynamics.matrix_flow import Stepping, predictor_flow
from dynamics.matrix_problem import LANE_STATES


@pytest.mark.parametrize(("I", "J", "M"), [(1, 1, 1), (2, 4, 3), (5, 7, 6), (3, 3, 9), (8, 8, 8)])
@pytest.mark.parametrize("transposed", [False, True])
def test_products_of_lanes(I: int, J: int, M: int, transposed: bool) -> None:
    rng = np.random.default_rng(I)
    a, b, out = rng.standard_normal((I, M, LANES)), rng.standard_normal((M, J, LANES)), np.zeros((I * J + 2) * LANES)
    stored = np.ascontiguousarray(a.swapaxes(0, 1) if transposed else a).ravel()
    product(out, 1, stored, 0, *((1, I) if transposed else (M, 1)), b.ravel(), 0, J, 1, I, J, M)
    inner = out[LANES:-LANES].reshape(I, J, LANES)
    assert np.allclose(
        inner, np.einsum("iml,mjl->ijl", a, b), rtol=0, atol=1e-14 * M
    )  # rounding of M terms of order one
    assert not out[:LANES].any() and not out[-LANES:].any()  # nothing is written beside the place


def ensemble(k: int, d: int, count: int, commuting: bool) -> tuple[list[dict], dict]:
    members = [problem(seed, k, d, commuting) for seed in range(count)]
    return members, {name: np.stack([q[name] for q in members]) for name in members[0]}


@budget(max_examples=25)
@given(
    st.sampled_from((1, 2, 3, 5, 8, 16)), st.sampled_from((1, 2, 3, 5, 8, 16)), st.booleans(),
    st.sampled_from((None, 0.0, 0.6)), st.sampled_from((0.5, 3.0)), st.sampled_from((0.0, 0.1)), st.sampled_from((None, 0.3)), st.sampled_from((0.2, 1.5)),
)  # fmt: skip
def test_lanes_are_the_plain_flow(k, d, commuting, tau0, alpha_p, eta, eta_p, beta) -> None:
    members, stacked = ensemble(k, d, LANES + 1, commuting)  # one waits for a lane
    rates = {"alpha_p": alpha_p, "eta": eta, "eta_p": eta_p, "beta": beta}
    V0 = lambda q: None if tau0 is None else tau0 * q["W0"]  # noqa: E731
    fast = predictor_flow(**stacked, t=TIMES, V0=V0(stacked), **rates)
    for i, q in enumerate(members):
        W, P = plain(q, V0=V0(q), **rates)
        assert distance(fast.W[i], W) < GLOBAL and distance(fast.P[i], P) < GLOBAL  # two integrations, each at rtol


@pytest.mark.parametrize(
    "wrong", [{"beta": 0.5}, {"eta": 0.0}, {"eta_p": 0.1}, {"alpha_p": 1.0}, {"C": "T"}, {"A": "scaled"}]
)
def test_a_wrong_flow_in_lanes_is_told_apart(wrong: dict) -> None:
    members, stacked = ensemble(4, 5, LANES, commuting=False)
    rates = {"alpha_p": 2.0, "eta": 0.1, "eta_p": 0.3, "beta": 0.4}
    W, _ = plain(members[1], V0=0.5 * members[1]["W0"], **rates)
    wrong = {
        **wrong,
        **({"C": stacked["C"].mT} if "C" in wrong else {"A": 1.01 * stacked["A"]} if "A" in wrong else {}),
    }
    fast = predictor_flow(**{**stacked, **rates, **wrong}, t=TIMES, V0=0.5 * stacked["W0"])
    assert distance(fast.W[1], W) > 1e3 * GLOBAL  # of order one, not rounding


@pytest.mark.parametrize("commuting", [True, False])
def test_lanes_take_the_steps_of_the_single_path(commuting: bool) -> None:
    members, stacked = ensemble(4, 5, 2 * LANES + 1, commuting)
    how, t = Stepping(1e-8, method="DOP853"), np.linspace(0, 6, 40)
    together = predictor_flow(**stacked, t=t, eta=0.05, V0=0.5 * stacked["W0"], stepping=how)
    for i, q in enumerate(members):
        alone = predictor_flow(**q, t=t, eta=0.05, V0=0.5 * q["W0"], stepping=how)
        assert alone.facts.steps[0] == together.facts.steps[i]
        assert alone.facts.evaluations[0] == together.facts.evaluations[i]
        assert (
            distance(alone.W, together.W[i]) < 1e-11
        )  # the same steps: rounding, 1e-16 over 10³ operations, amplified


@pytest.mark.parametrize("tau0", [None, 2.0])
@pytest.mark.parametrize("points", [2, 40])
def test_passages_in_lanes_are_those_of_the_single_path(tau0: float | None, points: int) -> None:
    """Of members that fall, grow and do both; levels passed at different steps of neighbours, some twice, some never."""
    members, _ = ensemble(4, 5, LANES + 5, commuting=True)
    members = [{**q, "W0": 0.3 * q["W0"], "P0": np.eye(4)} for q in members]  # small enough to grow
    stacked: dict = {name: np.stack([q[name] for q in members]) for name in members[0]}
    eta, how, t = np.linspace(0.0, 0.6, len(members)), Stepping(1e-8, method="DOP853"), np.linspace(0, 9, points)
    asked = {"t": t, "stepping": how, "levels": (0.999, 0.7, 1.3, 0.1, 2.0, 1e-9)}
    V0 = lambda q: None if tau0 is None else tau0 * q["W0"]  # noqa: E731
    together = predictor_flow(**stacked, eta=eta, V0=V0(stacked), **asked)
    found = together.facts.passages
    for i, q in enumerate(members):
        alone = predictor_flow(**q, eta=eta[i], V0=V0(q), **asked)
        assert (np.isnan(found[i]) == np.isnan(alone.facts.passages[0])).all()
        gap = np.abs(found[i] - alone.facts.passages[0])
        assert np.nanmax(gap, initial=0.0) < 1e-8  # rounding, 1e-11 as above, over slopes of 1e-2 and more
        assert alone.facts.evaluations[0] == together.facts.evaluations[i]  # the extra stages of passages included
    passed = np.isfinite(found).sum(0)
    assert (passed[:5] > 0).all() and (passed[1:] < len(members)).all() and passed[5] == 0


def test_passages_of_a_member_that_leaves_its_lane_are_made_anew() -> None:
    members, stacked = ensemble(3, 4, 6, commuting=False)
    alpha_p, levels, how = np.array([0.5, 1, 2, 4, 8, 3e4]), (1 + 1e-5, 1 - 1e-5), Stepping(1e-6)
    asked = {"t": np.array([0.0, 20.0]), "levels": levels, "stepping": how}
    together = predictor_flow(**stacked, alpha_p=alpha_p, **asked)
    alone = predictor_flow(**members[5], alpha_p=alpha_p[5], **asked)
    assert together.facts.stabilised_steps[5] > 0 and together.facts.evaluations[5] == alone.facts.evaluations[0]
    assert np.array_equal(together.facts.passages[5], alone.facts.passages[0], equal_nan=True)


def test_a_member_is_blind_to_its_neighbours() -> None:
    _, stacked = ensemble(3, 4, 2 * LANES + 1, commuting=False)
    order = np.random.default_rng(0).permutation(len(stacked["W0"]))
    one = predictor_flow(**stacked, t=TIMES)
    other = predictor_flow(**{name: X[order] for name, X in stacked.items()}, t=TIMES)
    assert (one.coordinates["W"][order] == other.coordinates["W"]).all()  # to the bit, in other lanes beside others
    assert (one.facts.evaluations[order] == other.facts.evaluations).all()


def test_a_member_is_blind_to_moments_beside_its_own() -> None:
    """1e-8 off the diagonal of C is no rounding, however large the neighbour's entries."""
    W, P, I = 0.5 * np.eye(2), 0.5 * np.eye(2), np.eye(2)
    A, C = np.diag([1.0, 0.8]), np.array([[1.0, 1e-8], [1e-8, 0.7]])
    alone = predictor_flow(W, P, A, C, TIMES)
    two = {"W0": (W, 0 * W), "P0": (P, 0 * P), "A": (A, 1e6 * I), "C": (C, 1e6 * I)}
    stacked: dict = {name: np.stack(X) for name, X in two.items()}
    beside = predictor_flow(**stacked, t=TIMES)
    assert distance(alone.W[-1, 0, 1], alone.W[-1, 1, 0]) > 1e-10  # of the 1e-8 that couple them
    assert distance(alone.W, beside.W[0]) < 1e-14  # the same steps: rounding


def test_a_member_that_commutes_steps_as_one_beside_members_that_do_not() -> None:
    two: list[dict] = [problem(seed, 4, 5, seed == 0) | {"A": np.eye(5)} for seed in range(2)]
    how = Stepping(1e-4, method="DOP853")
    alone = predictor_flow(**two[0], t=TIMES, stepping=how)
    stacked: dict = {name: np.stack([q[name] for q in two]) for name in two[0]}
    beside = predictor_flow(**stacked, t=TIMES, stepping=how)
    assert alone.facts.products == 3 and beside.facts.products == 4
    assert distance(alone.W, beside.W[0]) < 1e-11  # the same steps in the same basis: rounding, amplified
    assert alone.facts.steps[0] == beside.facts.steps[0]


def test_a_stiff_member_is_left_to_the_driver() -> None:
    members, stacked = ensemble(3, 4, 6, commuting=False)
    alpha_p, t, how = np.array([0.5, 1, 2, 4, 8, 3e4]), np.array([0.0, 20.0]), Stepping(1e-4)
    together = predictor_flow(**stacked, t=t, alpha_p=alpha_p, stepping=how)
    left = together.facts.stabilised_steps > 0
    assert left[5] and not left[:3].any()
    alone = predictor_flow(**members[5], t=t, alpha_p=alpha_p[5], stepping=how)
    assert together.facts.evaluations[5] == alone.facts.evaluations[0] and together.facts.spectral_radius[5] > 100
    explicit = predictor_flow(**members[5], t=t, alpha_p=alpha_p[5], stepping=Stepping(method="DOP853"))
    assert distance(together.W[5], explicit.W) < 1e3 * how.rtol  # as GLOBAL, at this rtol


def test_members_too_large_for_lanes_go_one_by_one() -> None:
    d = 2 + int(np.sqrt(LANE_STATES / 2))
    members, stacked = ensemble(d, d, 2, commuting=True)
    together, alone = predictor_flow(**stacked, t=TIMES), predictor_flow(**members[1], t=TIMES)
    assert together.facts.spectral_radius[1] > 0  # which only the driver measures
    assert together.facts.evaluations[1] == alone.facts.evaluations[0]
    assert distance(together.W[1], alone.W) < 1e-12  # the same path; eigh rounds by itself
