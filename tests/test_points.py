"""Finite laws by enumeration: InfoNCE over drawn negatives against all draws one by one; sizes that are refused in time."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from dynamics.points import _compositions, enumerate_points, info_nce_expectation, unit_points
from dynamics.setting import ChannelViews, Objective, PointViews, Setting, SettingError


def setting(views: PointViews, **objective) -> Setting:
    return Setting(views=views, objective=Objective(loss="info_nce", **objective))


@pytest.mark.parametrize("K", [1, 2, 4])
@pytest.mark.parametrize("temperature", [1e-3, 0.5, 10.0])
def test_the_expectation_is_the_mean_over_all_draws(K: int, temperature: float) -> None:
    views = PointViews(n=3, d=2)
    z, z_plus = unit_points(setting(views), views)
    losses = []
    for y, *drawn in itertools.product(range(3), repeat=K + 1):
        scores = np.array([z[y] @ z_plus[y], *(z[i] @ z_plus[y] for i in drawn)]) / temperature
        losses.append(np.logaddexp.reduce(scores) - scores[0])
    assert info_nce_expectation(z, z_plus, temperature, K) == pytest.approx(
        np.mean(losses), rel=1e-11
    )  # 2000 / τ's rounding


def test_compositions_are_all_and_in_order() -> None:
    assert _compositions(3, 2).tolist() == [[0, 0, 2], [0, 1, 1], [0, 2, 0], [1, 0, 1], [1, 1, 0], [2, 0, 0]]


def test_many_points_with_one_negative() -> None:
    run = enumerate_points(setting(PointViews(n=200), negatives=1))
    assert np.isfinite(run["loss"]).all() and run["z"].shape == (1, 1, 200, 3)


@pytest.mark.parametrize(
    ("views", "objective", "says"),
    [(PointViews(n=500), {"negatives": 2}, "fewer points or negatives"), (PointViews(n=10_000), {"negatives": 1}, "fewer points"),
     (PointViews(n=10_000), {"negatives": 10_000}, "fewer points"), (PointViews(), {"temperature": 1e-320}, "give a larger one"),
     (PointViews(scatter=1e300), {}, "another size"), (PointViews(spread=1e308), {}, "another size")],
)  # fmt: skip
def test_what_cannot_be_enumerated_gets_one_sentence(views: PointViews, objective: dict, says: str) -> None:
    with pytest.raises(SettingError, match=says) as caught:
        enumerate_points(setting(views, **objective))
    assert "\n" not in str(caught.value)


def test_a_channel_has_its_information_and_other_views_have_none() -> None:
    run = enumerate_points(Setting(views=ChannelViews(), objective=Objective(loss="information")))
    assert np.abs(run["I_ZX"] - run["H_Z"]).max() < 1e-14  # injective: X determines S, hence Z = h(S); rounding only
    with pytest.raises(SettingError, match="kind points or channel"):
        enumerate_points(Setting(objective=Objective(loss="info_nce")))


@pytest.mark.parametrize(("kind", "sign"), [("differential", 1), ("discrete", 0)])
def test_the_differential_entropy_of_a_shrinking_width_falls_without_end(kind: str, sign: int) -> None:
    run = enumerate_points(Setting(views=ChannelViews(), objective=Objective(loss="information", entropy=kind)))
    widths = 10.0 ** -np.arange(1, 17)
    assert run["H_constant"][0, 0] == pytest.approx(sign * np.log(widths), rel=1e-15), "log width, or 0 of a point"
