"""Conventions of optimisers: what they map to is finite, or refused in one sentence."""

from __future__ import annotations

import math
from typing import Any

import pytest

from dynamics.convention import Convention


def test_the_flow_of_a_convention_is_that_convention() -> None:
    same = Convention.of_flow(0.02, 0.1, 0.4)
    assert (same.time_per_step, same.eta) == (0.02, 0.1)  # c = 1/2 and mu = 0 divide by 1
    assert same.beta == pytest.approx(0.4, rel=1e-13)  # 1 - (1 - 0.008) loses two digits
    assert Convention(ema=1.0).beta == 0.0 and Convention().beta is None  # a target that stands still, and none


@pytest.mark.parametrize("wrong", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("name", ["prefactor", "lr", "momentum", "weight_decay", "ema"])
def test_what_is_not_finite_is_refused_by_name(name: str, wrong: float) -> None:
    change: dict[str, Any] = {name: wrong}
    with pytest.raises(ValueError, match=f"{name} is .*finite"):
        Convention(**change)


@pytest.mark.parametrize(
    ("change", "says"),
    [({"lr": 0.0}, "lr > 0"), ({"momentum": 1.0}, "momentum < 1"), ({"weight_decay": -1.0}, "weight_decay >= 0"),
     ({"decay": "l2"}, "not one of coupled"), ({"ema": 1.1}, "EMA coefficient"), ({"lr": 1e-320, "decay": "bare", "weight_decay": 1.0}, "ordinary size"),
     ({"lr": 1e308, "prefactor": 1e308}, "ordinary size"), ({"lr": 5e-324, "prefactor": 1e-5}, "ordinary size")],
)  # fmt: skip
def test_bad_conventions_get_one_sentence(change: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says) as caught:
        Convention(**change)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("flow", "says"),
    [((0.0,), "t_step = 0.0"), ((math.nan,), "t_step = nan"), ((0.1, -1.0), "eta = -1.0"), ((0.1, math.inf), "eta = inf"),
     ((0.1, 0.0, 20.0), "beta = 20.0"), ((0.1, 0.0, -1.0), "beta = -1.0"), ((0.1, 0.0, math.nan), "beta = nan")],
)  # fmt: skip
def test_bad_flows_are_told_in_the_words_of_a_flow(flow: tuple[float, ...], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Convention.of_flow(*flow)
