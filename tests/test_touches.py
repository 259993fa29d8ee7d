"""Levels that are passed twice within one step: ‖W‖ comes across, turns and goes back before the step's end."""

from __future__ import annotations

import numpy as np
import pytest

from dynamics.matrix_flow import MatrixFlow, Stepping, predictor_flow
from dynamics.matrix_passages import passes
from dynamics.run import Array
from dynamics.solver import integrate

DEPTHS = 10.0 ** -np.arange(2.0, 10.0)  # of the level before the turn, in units of what turns: to 10 times rtol


@pytest.mark.parametrize("phase", np.linspace(0.0, 0.6, 7))
def test_the_solver_finds_the_first_of_two_passages_in_a_step(phase: float) -> None:
    """y = cos(t + phase) turns at -1; a step is about 0.7 long, the shallowest passage lasts 9e-5."""
    start, t = np.array([[np.cos(phase), -np.sin(phase)]]), np.array([0.0, 9.0])
    events = [lambda y, depth=depth: y[:, 0] + 1 - depth for depth in DEPTHS]
    events += [lambda y, depth=depth: y[:, 0] + 1 + depth for depth in DEPTHS]  # never reached
    out = integrate(lambda _, y: np.stack([y[:, 1], -y[:, 0]], 1), start, t, events=events)
    found = [times[0] for times in out.event_times]
    assert found[len(DEPTHS) :] == [None] * len(DEPTHS)
    gaps = np.array(found[: len(DEPTHS)], float) - (np.pi - phase - np.arccos(1 - DEPTHS))
    # an error of 1e-9 in y, ten steps of rtol, moves a passage of slope sqrt(2 depth) by that over it
    assert (np.abs(gaps) < 1e-9 / np.sqrt(2 * DEPTHS) + 1e-11).all()


def dipping(method: str, members: int, t: Array, levels: tuple[float, ...] = ()) -> MatrixFlow:
    """‖W‖ falls towards a target that starts at 0, and grows with it: of some members, each with a target of its own speed."""
    rng = np.random.default_rng(5)
    W0, P0 = 0.5 * rng.standard_normal((3, 4)), 0.6 * np.eye(3)
    A, C = np.diag([1.2, 1.0, 0.8, 0.6]), np.diag([1.0, 0.9, 0.7, 0.5])
    W0, P0 = (np.broadcast_to(M, (members, *M.shape)) if members > 1 else M for M in (W0, P0))
    beta, how = 1 + 0.1 * np.arange(members), Stepping(1e-9, method=method)
    return predictor_flow(W0, P0, A, C, t, V0=0 * W0, beta=beta, levels=levels, stepping=how)


def sizes(flow: MatrixFlow) -> Array:
    """‖W‖ / ‖W(0)‖ (T,) of the first member."""
    size = np.linalg.norm(flow.W if flow.W.ndim == 3 else flow.W[0], axis=(1, 2))
    return size / size[0]


@pytest.mark.parametrize(("method", "members"), [("DOP853", 1), ("DOP853", 9), ("RKL4", 1)])
def test_matrix_flows_find_both_sides_of_a_dip(method: str, members: int) -> None:
    t = np.linspace(0.0, 4.0, 2001)
    size = sizes(dipping(method, members, t))
    least = size.min()  # of times 0.002 apart: the true one is lower by less than 1e-6 of it
    assert size[0] > least + 1e-3 and size[-1] > least + 1e-3  # it falls, and grows again
    inside, beyond = 1 + np.array([1e-2, 1e-4, 1e-5]), 1 - np.array([1e-5, 1e-4])
    found = dipping(method, members, t[[0, -1]], tuple(least * np.append(inside, beyond))).facts.passages[0]
    assert np.isnan(found[3:]).all() and (np.diff(found[:3]) > 0).all() and found[2] < t[size.argmin()]
    reached = sizes(dipping(method, members, np.array([0.0, *found[:3]])))[1:]
    assert np.abs(reached / (least * inside) - 1).max() < 1e-7  # 100 times rtol: an error in each of some dozen steps


@pytest.mark.parametrize(("method", "members"), [("DOP853", 1), ("DOP853", 9), ("RKL4", 1)])
def test_a_weight_that_changes_its_sign_passes_every_level_twice(method: str, members: int) -> None:
    """k = d = 1: log |w| has no lowest point, and bends away from the chord at its ends."""
    W0, P0, A, C = np.array([[1.0]]), np.array([[-1.0]]), np.eye(1), 0.7 * np.eye(1)
    start = [np.broadcast_to(M, (members, 1, 1)) if members > 1 else M for M in (W0, P0)]
    asked = {"alpha_p": 0.1, "eta": 0.02, "beta": 0.5, "stepping": Stepping(1e-9, method=method)}
    levels, t = 10.0 ** -np.arange(1.0, 7.0), np.array([0.0, 3.0])
    made = predictor_flow(*start, A, C, t, V0=start[0], levels=tuple(levels), **asked)
    first, last = (made.W[..., i, 0, 0].ravel()[0] for i in (0, 1))
    assert first * last < 0 and abs(last) > levels[0]
    found = made.facts.passages[0]
    W = predictor_flow(*start, A, C, np.array([0.0, *found]), V0=start[0], **asked).W
    assert np.abs(W.reshape(members, -1)[0, 1:] - levels).max() < 1e-7  # 100 times rtol, as above


def test_values_whose_product_is_0_are_told_apart() -> None:
    t, start = np.array([0.0, 9.0]), np.array([[1.0, 0.0]])
    events = [
        lambda y, gap=gap: 1e-170 * (y[:, 0] + 1 + gap) for gap in (1e-3, -1e-3)
    ]  # y turns at -1: never 0, and twice
    never, twice = integrate(lambda _, y: np.stack([y[:, 1], -y[:, 0]], 1), start, t, events=events).event_times
    assert (
        never == (None,) and twice[0] is not None and abs(twice[0] - np.arccos(-1 + 1e-3)) < 1e-7
    )  # as above, at depth 1e-3


@pytest.mark.parametrize("turn", [0.2, 0.5, 0.9])
def test_a_parabola_may_pass_what_lies_beyond_where_its_tangents_meet(turn: float) -> None:
    """‖W‖² = 1 + (x - turn)², x from 0 to 1: the tangents at its ends meet at x = 1/2, at 1 + turn² - turn."""
    square, slope = 1 + np.array([turn, 1 - turn]) ** 2, 2 * np.array([-turn, 1 - turn])
    sizes, slopes = np.log(square) / 2, slope / square / 2
    ends, meet = (*sizes, *slopes), 1 + turn**2 - turn
    for beyond in (1 - 1e-9, 1 + 1e-9):  # 10^6 times what rounding leaves of it
        assert passes(np.log([beyond * meet]) / 2, np.array([np.nan]), ends) == (beyond > 1)
    assert not passes(np.log([beyond * meet]) / 2, np.array([3.0]), ends)  # it was passed before
