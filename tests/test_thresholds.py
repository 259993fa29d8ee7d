"""Where an end changes: thresholds of claims, which their own conditions keep at a distance, against the flow at either side."""

from __future__ import annotations

import numpy as np
import pytest

from derivations.byol_balance import survivors
from derivations.registry import CLAIMS
from derivations.tian_align import beyond_saddle, generator
from dynamics.modes import fixed_points
from dynamics.run import Run
from dynamics.setting import Setting
from dynamics.simulate import flow
from dynamics.start import start

LONG = 400.0  # at a fifth off the saddle a mode leaves it at a rate of 0.04 at least here


def one_mode(p: float, eta: float) -> Setting:
    """One mode with a = 1.25, c = 1 on the parabola at p."""
    setting = CLAIMS["byol-survival"].base.replace(
        views__signal=(1.0,),
        views__noise=(0.25,),
        network__k=1,
        network__w0=1.0,
        training__eta=eta,
        training__t_end=LONG,
    )
    return setting.replace(network__w0=p / float(start(setting)[1][0, 0]))


@pytest.mark.parametrize("eta", [0.05, 0.1, 0.19])
@pytest.mark.parametrize(("of_saddle", "alive"), [(1.2, True), (0.8, False)])
def test_the_saddle_parts_survival_from_collapse(eta: float, of_saddle: float, alive: bool) -> None:
    roots = fixed_points(1.25, 1.0, eta)
    setting = one_mode(of_saddle * float(roots.p_minus), eta)
    assert survivors(setting)[0] == pytest.approx(float(roots.p_plus) * alive, abs=1e-12)  # rounding of a few products
    assert np.linalg.norm(flow(setting)["W"][0, -1]) == pytest.approx(
        float(roots.p_plus) * alive, abs=1e-6
    )  # e^{-0.04 t}


@pytest.mark.parametrize(("share", "admitted"), [(1.01, True), (0.99, False)])
def test_alignment_is_asked_from_what_a_mode_at_rest_has(share: float, admitted: bool) -> None:
    """One of the claim's needs: √alpha_p ‖W(0)‖ >= p+ = (1 + √(1 - 4 a eta))/2a, whatever alpha_p is. At seed 1 P(0) is in range."""
    base = CLAIMS["tian-theorem3-alignment"].base.replace(training__eta=0.1, training__alpha_p=2.0, seed=1)
    scale = np.linalg.norm(start(base.replace(network__w0=1.0))[0], 2)
    top = float(fixed_points(1.25, 1.0, 0.1).p_plus)
    setting = base.replace(network__w0=float(share * top / (np.sqrt(2.0) * scale)))
    assert all(a.holds(setting) for a in CLAIMS["tian-theorem3-alignment"].needs) == admitted
    assert not beyond_saddle(setting.replace(training__eta=0.21)), "beyond eta = 1/4a = 0.2 nothing is at rest but 0"


@pytest.mark.parametrize(("share", "positive"), [(1.01, True), (0.99, False)])
def test_from_a_sixth_of_one_over_a_on_decay_keeps_K_positive_whatever_P_and_F_are(
    share: float, positive: bool
) -> None:
    """K = a (P - I/2a)² + a alpha_p F/2 + (3 eta/2 - 1/4a) I, a = 1.25: least at P = I/2a and F = 0."""
    claim = CLAIMS["tian-theorem3-alignment"]
    setting = claim.base.replace(training__eta=share / 7.5)  # 1/6a = 1/7.5
    rng, zero = np.random.default_rng(0), np.zeros((1, 100, 2, 2))
    P, W = rng.standard_normal((2, 1, 100, 2, 2))
    P[0, 0], W[0, 0] = np.eye(2) / 5, 0.0
    K = generator(Run(setting, "flow", np.arange(100.0), {"W": W, "P": P + P.mT, "dW": zero, "dP": zero}))[2]
    least = np.linalg.eigvalsh(K).min()
    (said,) = (a for a in claim.states if a.name == "K positive")
    assert said.holds(setting) == (least > 0) == positive
    assert least == pytest.approx(1.5 * setting.training.eta - 0.2, abs=1e-15)  # rounding, at order 1
