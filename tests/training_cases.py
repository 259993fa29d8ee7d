"""A small recipe, runs killed on the way, and what they leave."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dynamics.run import Run
from full_models import probe
from full_models.training import Recipe, checkpoint, train

SMALL = Recipe(method="simclr", encoder="linear", width=16, dim=8, count=192, batch=64, epochs=4, records=3, seed=5)


@pytest.fixture(autouse=True)
def cheap_probes(monkeypatch: pytest.MonkeyPatch) -> None:
    """One decay instead of a grid; what the probes do is the affair of test_probe."""
    monkeypatch.setattr(probe, "DECAYS", (0.1,))


class Killed(Exception):
    """What stands in for SIGKILL: nothing after it runs."""


def killed_at(recipe: Recipe, folder: Path, step: int, seconds: float) -> None:
    def on_step(done: int, steps: int) -> None:
        if done == step:
            raise Killed

    with pytest.raises(Killed):
        train(recipe, folder, on_step=on_step, checkpoint_seconds=seconds)


def same(one: Run, other: Run) -> bool:
    return one.obs.keys() == other.obs.keys() and all(
        np.array_equal(one[name], other[name], equal_nan=True) for name in one.obs
    )


def weights(folder: Path) -> dict[str, Any]:
    saved = checkpoint.read(folder, "cpu")
    assert saved is not None
    return saved["method"]
