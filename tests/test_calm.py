"""Explicit steps whose inner states can be trusted: a fast mode, all but gone, is not magnified by the dense output."""

import numpy as np
import pytest
from scipy.integrate import DOP853

from dynamics import calm
from dynamics.calm import CALM, CalmDOP853
from dynamics.setting import Setting
from dynamics.simulate import exact, flow
from dynamics.solver import RTOL, integrate

SLOW = 0.1
FAST = np.linspace(6.0, 20.0, 57)  # against t = 30: from where error holds the step to where stability does
LAW = 10 * RTOL  # errors of some dozen steps, each of RTOL, of states that decay


def inner_error(method: type[DOP853], fast: float) -> float:
    """Largest error of states within the steps of dy/dt = -(SLOW, fast) y from (1, 1)."""
    rates = np.array([SLOW, fast])
    solver, worst = method(lambda _, y: -rates * y, 0.0, np.ones(2), 30.0, rtol=RTOL, atol=1e-14), 0.0
    while solver.status == "running":
        solver.step()
        t = np.linspace(float(solver.t_old or 0.0), solver.t, 41)
        worst = max(worst, float(np.abs(solver.dense_output()(t) - np.exp(-np.outer(rates, t))).max()))
    return worst


def test_states_within_steps_are_as_good_as_the_tolerance() -> None:
    assert max(inner_error(CalmDOP853, fast) for fast in FAST) <= LAW
    assert max(inner_error(DOP853, fast) for fast in FAST) > 10 * LAW  # which scipy's own are not


def test_without_a_limit_it_is_scipys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calm, "CALM", np.inf)
    for fast in FAST[::8]:
        assert inner_error(CalmDOP853, fast) == inner_error(DOP853, fast)


@pytest.mark.parametrize("fast", [8.0, 40.0, 200.0])
def test_steps_stay_where_outputs_are_good(fast: float) -> None:
    solver = CalmDOP853(lambda _, y: -np.array([SLOW, fast]) * y, 0.0, np.ones(2), 30.0, rtol=RTOL, atol=1e-14)
    lengths = []
    while solver.status == "running":
        solver.step()
        lengths.append(fast * (solver.t - solver.t_old))
    later = np.array(lengths[20:])  # by then power iteration, once in GLANCE steps, knows 2 rates far apart
    assert later.max() <= 1.01 * CALM and len(later) > 20


def test_a_radius_that_falls_is_forgotten() -> None:
    def field(t: float, y: np.ndarray) -> np.ndarray:
        return -np.array([SLOW, 1000.0 / (1 + t) ** 2]) * (y - np.array([0.0, 1.0]))

    start, t = np.array([[1.0, 2.0]]), np.array([0.0, 30.0])
    own, other = (integrate(field, start, t, method=method) for method in ("auto", "DOP853"))
    assert np.abs(own.y[-1, 0] - [np.exp(-SLOW * 30), 1.0]).max() <= LAW and own.method == "DOP853"
    # held at the first radius, 1000, it would need 12 x 30 x 1000 / CALM = 72,000; a radius some steps old errs towards the larger
    assert own.evaluations <= 2 * other.evaluations


def test_the_invariance_flow_agrees_with_its_closed_form_between_steps() -> None:
    setting = Setting.from_dict(
        {
            "views": {"signal": [0.30137, 0.7], "noise": [9.6, 0.05]},
            "objective": {"loss": "invariance"},
            "network": {"k": 2, "start": "generic"},
            "training": {"t_end": 15, "points": 401},
        }
    )
    found, true = flow(setting)["W"], exact(setting)["W"]
    assert np.abs(found - true).max() <= LAW * np.abs(true).max()
