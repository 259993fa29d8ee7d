"""Fast matrix flows at hard points: the sizes that run through BLAS, and stiff spectra against scipy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as budget
from hypothesis import strategies as st
from matrix_cases import distance, plain, problem
from scipy.integrate import odeint

from dynamics import predictor
from dynamics.matrix_flow import Stepping, predictor_flow
from dynamics.matrix_problem import LANE_STATES
from dynamics.solver import RTOL

LARGE = (
    20 * RTOL
)  # of the largest entry, two integrations at RTOL each: the worst of a dozen at d = 32 to 128 was 1.2 RTOL
STIFF = 100.0  # of rtol: the worst of 2,400 flows like those below was 32, beside a saddle; 99 of 100 are within 3


def gap(a: np.ndarray, b: np.ndarray) -> float:
    """Of the largest entry of b."""
    return distance(a, b) / float(np.abs(b).max())


def large_is_plain(seed: int, k: int, d: int, commuting: bool, tau0: float | None, rates: dict, t: np.ndarray) -> None:
    q = problem(seed, k, d, commuting)
    V0 = None if tau0 is None else tau0 * q["W0"]
    fast, (W, P) = predictor_flow(**q, t=t, V0=V0, **rates), plain(q, t, V0=V0, **rates)
    assert k * (k + d) > LANE_STATES and fast.facts.form == "matrix"
    assert gap(fast.W, W) < LARGE and gap(fast.P, P) < LARGE  # see LARGE


some_rates = st.fixed_dictionaries(
    {"alpha_p": st.sampled_from((0.1, 1.0, 10.0)), "beta": st.sampled_from((0.01, 0.3, 10.0)),
     "eta": st.sampled_from((0.0, 0.1, 0.5)), "eta_p": st.sampled_from((None, 0.0, 0.3))}
)  # fmt: skip
some_targets = st.sampled_from((None, 0.0, 0.6, 2.0))  # V0 = tau0 W0; None: online


@budget(max_examples=25)
@given(st.integers(0, 1000), st.sampled_from((32, 48)), st.booleans(), some_targets, some_rates)
def test_fast_is_plain_at_32(seed, k, commuting, tau0, rates) -> None:
    large_is_plain(seed, k, 32, commuting, tau0, rates, np.array([0.0, 0.3, 2.0]))


@pytest.mark.parametrize(
    ("k", "d", "commuting", "tau0"),
    [(64, 64, False, None), (64, 64, True, 0.5), (40, 64, False, 2.0), (128, 128, False, 0.5)],
)
def test_fast_is_plain_at_64_and_128(k: int, d: int, commuting: bool, tau0: float | None) -> None:
    rates = {"alpha_p": 3.0, "beta": 0.4, "eta": 0.1, "eta_p": 0.3}
    large_is_plain(d, k, d, commuting, tau0, rates, np.array([0.0, 0.2, 1.0]))


def stiff(seed: int, d: int, condition: float, turned: bool) -> dict:
    """Spectra of C and A from 1 to 1/condition; turned: C is not symmetric, and does not commute with A."""
    rng = np.random.default_rng(seed)
    U, N = np.linalg.qr(rng.standard_normal((d, d)))[0], rng.standard_normal((d, d))
    X = (U * np.geomspace(1, 1 / condition, d)) @ U.T
    C = X @ (np.eye(d) + 0.3 / np.sqrt(d) * (N - N.T)) if turned else X
    return problem(seed, d, d, True) | {"A": 0.625 * (X + X.T), "C": C}


def by_lsoda(q: dict, t: np.ndarray, V0: np.ndarray | None, rates: dict) -> list[np.ndarray]:
    """[W, P] (T, d, d) by scipy's LSODA at rtol 1e-12 on dynamics.predictor's fields."""
    shape = (-1, len(q["W0"]), len(q["W0"]))

    def field(y, _):
        W, P, *V = y.reshape(shape)
        dW, dP = predictor.field(W, P, V[0] if V else W, q["A"], q["C"], rates["alpha_p"], rates["eta"], rates["eta"])
        return np.concatenate([dW, dP, *(predictor.target_field(W, target, rates["beta"]) for target in V)]).ravel()

    y0 = np.concatenate([X.ravel() for X in (q["W0"], q["P0"], V0) if X is not None])
    y = odeint(field, y0, t, rtol=1e-12, atol=1e-15, mxstep=200_000).reshape(len(t), *shape)
    return [y[:, 0], y[:, 1]]


@budget(max_examples=25)
@given(
    st.integers(0, 1000), st.sampled_from((4, 6)), st.sampled_from((1e2, 1e3)), st.booleans(), st.sampled_from((None, 0.5)),
    st.sampled_from((0.3, 1.0, 3.0)),
)  # fmt: skip
def test_stiff_flows_are_those_of_scipy(seed, d, condition, turned, tau0, alpha_p) -> None:
    q, t = stiff(seed, d, condition, turned), condition * np.array([0.0, 0.01, 0.03, 0.3])
    V0, rates = None if tau0 is None else tau0 * q["W0"], {"alpha_p": alpha_p, "eta": 1e-4, "beta": 0.3}
    W, P = by_lsoda(q, t, V0, rates)
    for how in (Stepping(1e-4), *(Stepping(rtol, method="RKL4") for rtol in (1e-4, 1e-6, 1e-8))):
        fast = predictor_flow(**q, t=t, V0=V0, stepping=how, **rates)
        assert fast.facts.method != "DOP853" or how.method == "auto"
        assert gap(fast.W, W) < STIFF * how.rtol and gap(fast.P, P) < STIFF * how.rtol  # see STIFF
