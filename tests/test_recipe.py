"""Recipes: they round-trip, and bad ones get one sentence."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch
from training_cases import SMALL, cheap_probes

from dynamics.setting import SettingError
from full_models.device import usable
from full_models.training import Recipe, train

torch.set_num_threads(1)
__all__ = ["cheap_probes"]  # the fixture


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"batch": 0}, "batch is 0"),
        ({"batch": 4096}, "smaller batch"),
        ({"count": 99999}, "at most that"),
        ({"epochs": 1.5}, "whole number"),
        ({"lr": 0.0}, "rate > 0"),
        ({"lr": float("nan")}, "finite"),
        ({"warmup": 1.0}, "< 1"),
        ({"momentum": -0.1}, ">= 0"),
        ({"optimiser": "adam"}, "sgd or adamw or lars"),
        ({"schedule": "step"}, "constant or cosine"),
        ({"precision": "fp8"}, "float32 or bf16"),
        ({"records": 1}, ">= 2"),
        ({"seed": -1}, ">= 0"),
        ({"method": "simclear"}, "simclr"),
        ({"encoder": "resnet9"}, "resnet8"),
        ({"augmentation": "blurr"}, "is not"),
        ({"options": {"taau": 1}}, "no option"),
        ({"data": "nowhere"}, "nowhere"),
        ({"device": "tpu"}, "use cpu or cuda"),
        ({"lr": 1e30, "optimiser": "sgd", "warmup": 0.0}, "smaller lr"),
    ],
)
def test_bad_recipes_get_one_sentence(change: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=r"^[^\n]+$") as error:
        train(dataclasses.replace(SMALL, **change))
    assert words in str(error.value)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_an_absent_gpu_is_one_sentence() -> None:
    with pytest.raises(SettingError, match="works with device cpu"):
        usable("cuda")


def test_recipes_round_trip_through_plain_values() -> None:
    recipe = dataclasses.replace(SMALL, options={"tau": 0.2})
    assert Recipe(**recipe.to_dict()) == recipe
    assert recipe.differs(recipe.to_dict() | {"device": "cuda", "path": "elsewhere"}) == []
    assert recipe.differs(SMALL.to_dict()) == ["options"]
