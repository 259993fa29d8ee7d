"""Settings: they round-trip through JSON, and what cannot mean anything gets one sentence."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from strategies import settings

from dynamics.setting import PointViews, Setting, SettingError


@given(settings())
def test_setting_round_trips(setting: Setting) -> None:
    assert Setting.from_json(setting.to_json()) == setting
    assert "\n" not in setting.to_json()


@pytest.mark.parametrize(
    ("text", "says"),
    [("[", "not JSON"), ("[1]", "JSON object"), ('{"training": {"eta": -1}}', ">= 0"), ('{"training": {"lr": 0}}', "> 0"),
     ('{"training": {"eta": NaN}}', "finite"), ('{"network": {"k": 1.5}}', "give a whole number"), ('{"netwrok": {}}', "unknown key"),
     ('{"views": {"kind": "sound"}}', "not one of"), ('{"views": {"signal": [1], "noise": [1, 2]}}', "eigenvalues"),
     ('{"objective": {"loss": "mse"}}', "choose one of"), ('{"seed": -1}', "whole number")],
)  # fmt: skip
def test_bad_settings_get_one_sentence(text: str, says: str) -> None:
    with pytest.raises(SettingError, match=says) as caught:
        Setting.from_json(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "says"),
    [({"seed": -1}, "seed is -1: give a whole"), ({"seed": 1.5}, "seed is 1.5"), ({"seed": True}, "seed is True"),
     ({"network__k": 2.5}, "network.k is 2.5: give a whole number"), ({"network__k": True}, "network.k is True"),
     ({"training__t_end": "3"}, "training.t_end is '3': give a number"), ({"training__eta_p": "none"}, "give a number"),
     ({"objective__stop_gradient": 1}, "true or false"), ({"views__signal": [1.0, 0.5]}, "in Python a tuple"),
     ({"views__signal": (1.0, None)}, "list of numbers"), ({"objective__loss": None}, "objective.loss is None: give text"),
     ({"training__rate": 1.0}, "unknown training.rate: training has t_end"), ({"trainings__eta": 1.0}, "unknown key 'trainings'"),
     ({"eta": 1.0}, "unknown key 'eta'"), ({"seed__a": 1}, "unknown seed.a"), ({"training": {"eta": 1.0}}, "training is .*: give Training"),
     ({"views": PointViews(d=0)}, "need d >= 1"), ({"training__beta": float("inf")}, "finite")],
)  # fmt: skip
def test_bad_settings_built_in_python_get_one_sentence(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(SettingError, match=says) as caught:
        Setting().replace(**changes)
    assert "\n" not in str(caught.value)


def test_numpys_numbers_are_numbers() -> None:
    setting = Setting().replace(network__k=np.int64(3), training__eta=np.float32(0.5), seed=np.int64(2))
    assert Setting.from_json(setting.to_json()) == setting  # a grid over np.arange or np.linspace holds such
