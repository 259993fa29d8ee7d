"""Settings: they round-trip through JSON, and what cannot mean anything gets one sentence."""

from __future__ import annotations

import pytest
from hypothesis import given

from dynamics.setting import Setting, SettingError
from tests.strategies import settings


@given(settings())
def test_setting_round_trips(setting: Setting) -> None:
    assert Setting.from_json(setting.to_json()) == setting
    assert "\n" not in setting.to_json()


@pytest.mark.parametrize(
    ("text", "says"),
    [("[", "not JSON"), ("[1]", "JSON object"), ('{"training": {"eta": -1}}', ">= 0"), ('{"training": {"lr": 0}}', "> 0"),
     ('{"training": {"eta": NaN}}', "finite"), ('{"network": {"k": 1.5}}', "give a int"), ('{"netwrok": {}}', "unknown key"),
     ('{"views": {"kind": "sound"}}', "not one of"), ('{"views": {"signal": [1], "noise": [1, 2]}}', "eigenvalues"),
     ('{"objective": {"loss": "mse"}}', "choose one of"), ('{"seed": -1}', "whole number")],
)  # fmt: skip
def test_bad_settings_get_one_sentence(text: str, says: str) -> None:
    with pytest.raises(SettingError, match=says) as caught:
        Setting.from_json(text)
    assert "\n" not in str(caught.value)
