"""Checkpoints: a killed run resumes to the same bits, and a checkpoint that is damaged or another's is one sentence."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from training_cases import SMALL, cheap_probes, killed_at, same, weights

from full_models.training import RecipeError, checkpoint, train

torch.set_num_threads(1)
__all__ = ["cheap_probes"]  # the fixture
STATEFUL = {  # methods whose state is more than parameters: running statistics, a queue, moving averages, moments
    "simclr": {},
    "moco": {"queue": 128},
    "byol": {},
    "directpred": {},
    "supervised": {},
}


@pytest.mark.parametrize("method", STATEFUL)
def test_a_killed_run_resumes_to_the_same_bits(method: str, tmp_path: Path) -> None:
    recipe = dataclasses.replace(
        SMALL, method=method, options=STATEFUL[method], dim=None if method == "supervised" else 8
    )
    whole = train(recipe, tmp_path / "whole")
    step = 1 + list(STATEFUL).index(method) * 2  # 1, 3, 5, 7, 9 of 12: before, between and after rows and epochs
    for seconds in (0.0, np.inf):  # a checkpoint at every step, or at rows only
        folder = tmp_path / f"killed {seconds}"
        killed_at(recipe, folder, step, seconds)
        resumed = train(recipe, folder)
        assert same(whole, resumed)
        assert whole.facts["probes"] == resumed.facts["probes"]
        ours, theirs = weights(tmp_path / "whole"), weights(folder)
        assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_killed_twice_and_without_a_checkpoint(tmp_path: Path) -> None:
    whole = train(SMALL)
    killed_at(SMALL, tmp_path, 1, np.inf)  # before the first row after the start: nothing is on disk
    killed_at(SMALL, tmp_path, 8, 0.0)
    killed_at(SMALL, tmp_path, 9, 0.0)
    assert same(whole, train(SMALL, tmp_path))


def test_a_finished_run_is_read_not_trained_again(tmp_path: Path) -> None:
    first = train(SMALL, tmp_path)

    def never(done: int, steps: int) -> None:
        raise AssertionError("a step was taken")

    assert same(first, train(SMALL, tmp_path, on_step=never))
    with pytest.raises(AssertionError):
        train(SMALL, tmp_path, resume=False, on_step=never)


def test_a_checkpoint_survives_a_torn_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train(SMALL, tmp_path)
    before = (tmp_path / checkpoint.NAME).read_bytes()

    def torn(state: Any, file: Any) -> None:
        file.write(b"half")
        raise OSError("no space left")

    monkeypatch.setattr(torch, "save", torn)
    with pytest.raises(OSError, match="no space"):
        checkpoint.write(tmp_path, {})
    assert (tmp_path / checkpoint.NAME).read_bytes() == before


@pytest.mark.parametrize("content", [b"", b"no checkpoint", b"PK\x03\x04torn"])
def test_a_damaged_checkpoint_is_one_sentence(content: bytes, tmp_path: Path) -> None:
    (tmp_path / checkpoint.NAME).write_bytes(content)
    with pytest.raises(RecipeError, match="delete it"):
        train(SMALL, tmp_path)


def test_another_recipe_does_not_take_over_a_checkpoint(tmp_path: Path) -> None:
    killed_at(SMALL, tmp_path, 5, 0.0)
    with pytest.raises(RecipeError, match=r"made with lr = 0\.001, not 0\.01"):
        train(dataclasses.replace(SMALL, lr=0.01), tmp_path)
