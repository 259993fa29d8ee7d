"""The linear prediction in the deep picture: it starts where the network did and moves as the modes do."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from dynamics import modes
from dynamics.run import Array
from dynamics.setting import Setting
from dynamics.solver import integrate
from noncollapse.deep_picture import _linear_prediction

P, S = np.array([0.7, 0.4]), np.array([0.5, 0.2])
VARIANCE, MEAN = 0.8, 0.25
A = (VARIANCE + MEAN) / S.sum()  # tr E[z zᵀ] / tr F
TIMES = np.linspace(0, 2, 3)
SETTING = Setting().replace(training__eta=0.1, training__alpha_p=2.0, training__beta=0.7)
start = partial(np.testing.assert_allclose, rtol=1e-9, atol=1e-9)  # rounding of a 2 x 2, no step taken


def predicted(setting: Setting, cosine: float) -> dict[str, Array]:
    """Of one network with two modes, whose P has these cosines on both."""
    run = {"t": TIMES, "p": P[None, None], "s": S[None, None], "cosine": np.full((1, 1, 2), cosine),
           "variance": np.array([[VARIANCE]]), "mean": np.array([[MEAN]])}  # fmt: skip
    return _linear_prediction(setting, run)


@pytest.mark.parametrize("cosine", [1.0, 0.8])
def test_the_prediction_starts_where_the_network_did(cosine: float) -> None:
    out = predicted(SETTING, cosine)
    start(out["a"], [A])
    start(out["linear_p"][0, 0], P)
    start(out["linear_s"][0, 0], S)
    beside = P * np.sqrt(1 / cosine**2 - 1)  # of each column off the diagonal, one entry in two modes
    size = np.sqrt(np.square(P).sum() + np.square(beside).sum()) * np.linalg.norm(S)
    start(out["linear_alignment"][0, 0], abs(S[0] - S[1]) * np.linalg.norm(beside) / size)


@pytest.mark.parametrize("target", ["online", "ema"])
def test_an_aligned_prediction_moves_mode_by_mode(target: str) -> None:
    out = predicted(SETTING.replace(objective__target=target), cosine=1.0)

    def velocity(_: float, y: Array) -> Array:
        p, w, v = y.T
        dp, dw, dv = modes.field(p, w, v if target == "ema" else w, A, 1.0, 2.0, 0.7, 0.1, 0.1)
        return np.stack([dp, dw, dv], axis=1)

    w = np.sqrt(S)
    p, w, _ = integrate(velocity, np.stack([P, w, w], axis=1), TIMES).y[-1].T
    order = np.argsort(-w)
    moved = partial(np.testing.assert_allclose, rtol=1e-4)  # the prediction is integrated at 1e-6
    moved(out["linear_p"][0, -1], p[order])
    moved(out["linear_s"][0, -1], w[order] ** 2)
    assert np.abs(w**2 - S).max() > 0.01, "it moved by more than what the tolerance hides"
