"""What `flow` and `exact` put into a Run beside W: the target, the drift of the balance, the times of events."""

from __future__ import annotations

import numpy as np
import pytest
from matrix_cases import GLOBAL, distance

from dynamics import invariance, weight_flow
from dynamics.setting import GaussianViews, Network, Objective, Setting, Training
from dynamics.simulate import exact, flow, flow_batch
from dynamics.solver import SolverError
from dynamics.views import moments

VIEWS = GaussianViews((1.0, 0.5), (0.3, 0.2))


@pytest.mark.parametrize("tau0", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("beta", [0.3, 0.6, 2.0])  # 0.6: S = diag(0.6, 0.4), so that a rate is the target's own
def test_a_target_beside_the_invariance_loss_follows_the_encoder(tau0: float, beta: float) -> None:
    objective = Objective(loss="invariance", target="ema")
    setting = Setting(VIEWS, Network(tau0=tau0), objective, Training(beta=beta))
    one, other = flow(setting), exact(setting)
    assert distance(one["V"], other["V"]) < GLOBAL and distance(one["dV"], other["dV"]) < GLOBAL  # the flow's own error
    for run in (one, other):
        assert distance(run["dV"], beta * (run["W"] - run["V"])) < 1e-15  # the law itself: rounding
        assert distance(run["V"][0, 0], tau0 * run["W"][0, 0]) < 1e-15
        assert distance(run["V"], run["W"]) > 1e3 * GLOBAL  # it lags behind
    W0, wrong = one["W"][0, 0], np.diag([0.6, 0.5])
    assert distance(invariance.target_form(W0, tau0 * W0, wrong, beta, one.t), one["V"][0]) > 1e3 * GLOBAL


def test_the_balance_of_weights_of_zero_does_not_drift() -> None:
    setting = Setting(VIEWS, Network(start="zero"), training=Training(eta=0.1))
    assert flow(setting).facts["drift"]["balance"] < GLOBAL  # P decays by its law beside W = 0


@pytest.mark.parametrize("d", [2, 8])  # by `solver`, by the matrix flows
@pytest.mark.parametrize("w0", [1.0, 1e-3, 1e-10, 1e-15, 1e-100])
def test_a_collapse_is_timed_whatever_the_size_of_the_start(w0: float, d: int) -> None:
    views, training = GaussianViews((1.0,) * d, (0.3,) * d), Training(eta=0.1, t_end=60.0)
    run = flow(Setting(views, Network(w0=w0), Objective(predictor="none"), training))
    assert run.facts["collapse_time"] == pytest.approx(np.log(100) / 0.4, abs=1e-7)  # GLOBAL at a rate of 0.4, and some


@pytest.mark.parametrize(
    "views", [GaussianViews((1.0, 0.5), (0.3, 0.2), 0.4, 0.7), GaussianViews((0.6,), (0.3,), anchor=True)]
)
@pytest.mark.parametrize("target", ["online", "ema"])
def test_the_loss_of_a_run_is_half_the_mean_square(views: GaussianViews, target: str) -> None:
    """J = ½ E‖P W x - V x⁺‖² = ½ tr [PW, -V] M [PW, -V]ᵀ, M the second moments of (x, x⁺)."""
    setting = Setting(views, Network(tau0=0.5), Objective(target=target))
    run, m = flow(setting), moments(setting)
    gap = np.concatenate([run["P"] @ run["W"], -run["V"]], axis=-1)
    M = np.block([[m.A, m.C], [m.C.T, m.B]])
    J = np.trace(gap @ M @ gap.mT, axis1=-2, axis2=-1) / 2
    np.testing.assert_allclose(run["loss"], J, rtol=1e-12)  # rounding: no term is far above J here


def test_members_too_stiff_for_common_steps_are_integrated_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """And one that fails by itself is named."""
    plain, most = weight_flow.integrate, 1

    def strained(field, y0, t, **how):
        if len(y0) > most:
            raise SolverError("too stiff: give a smaller t_end")
        return plain(field, y0, t, **how)

    monkeypatch.setattr(weight_flow, "integrate", strained)
    settings = [Setting(seed=seed).replace(training__eta=0.1 * seed) for seed in (1, 2, 3)]
    for setting, run in zip(settings, flow_batch(settings), strict=True):
        assert np.array_equal(run["W"], flow(setting)["W"]) and run.facts == flow(setting).facts
    most = 0
    with pytest.raises(SolverError, match=r"^member 0 of 3: too stiff: give a smaller t_end"):
        flow_batch(settings)
    with pytest.raises(SolverError, match=r"^too stiff"):
        flow(settings[0])
