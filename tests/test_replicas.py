"""Replicas batched by torch.func take the steps of separately trained networks, one by one."""

from __future__ import annotations

import dataclasses
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch

from full_models import replicas
from full_models.parallel import World
from full_models.replicas import stacked, sweep, take_step, train_replicas
from full_models.training import Recipe, RecipeError, train
from full_models.training.material import Material, batches, material
from full_models.training.optimisers import rate, set_rates
from full_models.training.steps import make_method, make_optimiser, step_loss

torch.set_num_threads(1)

SMALL = Recipe(encoder="mlp", width=12, dim=6, count=96, batch=32, epochs=2, records=3, warmup=0.3, weight_decay=0.01,
               optimiser="sgd")  # fmt: skip
# A bias before a batch norm has gradient 0 up to rounding, which AdamW's division makes into full steps of random sign
ADAMW: dict[str, Any] = {"optimiser": "adamw", "options": {"norm": False}}
SEEDS, RATES, STEPS = (3, 8), (1e-3, 1e-2), 6
CASES: dict[str, dict[str, Any]] = {
    "sgd and batch norm": {"method": "simclr"},
    "adamw": {"method": "simclr", **ADAMW},
    "linear encoder": {"method": "vicreg", "encoder": "linear"},
    "lars": {"method": "barlow-twins", "optimiser": "lars"},
    "moving average": {"method": "byol"},
    "predictor with its own rate": {"method": "simsiam"},
    "analytic predictor": {"method": "directpred"},
    "labels": {"method": "supervised", "dim": None},
}


@pytest.fixture
def double(monkeypatch: pytest.MonkeyPatch) -> None:
    """Networks and images in float64, so that agreement is told from float32's rounding."""
    floats, make = Material.floats, make_method
    monkeypatch.setattr(Material, "floats", lambda self, images: floats(self, images).double())
    monkeypatch.setattr(replicas, "make_method", lambda recipe, shape: make(recipe, shape).double())


@pytest.mark.usefixtures("double")
@pytest.mark.parametrize("case", CASES)
def test_every_step_is_the_separate_networks_step(case: str) -> None:
    recipe = dataclasses.replace(SMALL, **CASES[case])
    each = [dataclasses.replace(recipe, seed=seed, lr=lr) for seed, lr in product(SEEDS, RATES)]
    fed = [material(dataclasses.replace(recipe, seed=seed), "cpu") for seed in SEEDS]
    shape = fed[0].train.shape
    stack = stacked(each, shape, "cpu")
    order = [batches(one, len(f.train), 0, World(), "cpu") for one, f in zip(each[::2], fed, strict=True)]
    alone = [make_method(one, shape).double().train() for one in each]
    solvers = [make_optimiser(one, method) for one, method in zip(each, alone, strict=True)]
    for step in range(STEPS):
        index = [next(o) for o in order]
        losses = take_step(stack, each, fed, index, step, STEPS)
        for r, (one, method, solver) in enumerate(zip(each, alone, solvers, strict=True)):
            assert solver is not None
            set_rates(solver, rate(one.schedule, step, STEPS, round(one.warmup * STEPS)))
            solver.zero_grad()
            loss = step_loss(method, method, one, fed[r // 2], index[r // 2], step)
            loss.backward()
            solver.step()
            method.after_step(step, STEPS)
            assert losses[r].item() == pytest.approx(loss.item(), rel=1e-9)  # see below
            for name, value in method.state_dict().items():
                ours = (stack.parameters | stack.buffers)[name][r]
                # float64 rounding 1e-16, amplified by six steps and AdamW's division by small second moments
                torch.testing.assert_close(ours, value, rtol=1e-7, atol=1e-9)


def test_a_run_of_replicas_is_the_runs_side_by_side() -> None:
    recipe = dataclasses.replace(SMALL, **ADAMW)
    together = train_replicas(recipe, SEEDS, RATES)
    assert together.facts["seeds"] == [3, 3, 8, 8] and together.facts["rates"] == [1e-3, 1e-2, 1e-3, 1e-2]
    for r, (seed, lr) in enumerate(product(SEEDS, RATES)):
        alone = train(dataclasses.replace(recipe, seed=seed, lr=lr))
        for name in ("loss", "spectrum", "variance"):
            # float32 rounding 1e-7, amplified as above
            np.testing.assert_allclose(together[name][r], alone[name][0], rtol=1e-2, atol=1e-4)
    assert not np.allclose(together["loss"][0], together["loss"][1], rtol=1e-2)  # other rates are other runs
    assert not np.allclose(together["loss"][0], together["loss"][2], rtol=1e-2)  # and other seeds


def test_widths_are_one_batch_each() -> None:
    runs = sweep(dataclasses.replace(SMALL, method="directclr", dim=4, epochs=1), (0,), (1e-3,), (8, 12))
    assert list(runs) == [8, 12]
    assert runs[8].facts["recipe"]["width"] == 8


@pytest.mark.parametrize(
    ("change", "seeds", "rates", "words"),
    [
        ({}, (), (1e-3,), "at least one"),
        ({"precision": "bf16"}, (0,), (1e-3,), "float32"),
        ({"method": "random", "dim": None}, (0,), (1e-3,), "trains nothing"),
        ({"method": "lejepa"}, (0,), (1e-3,), "one by one"),
        ({"warmup": 0.0}, (0,), (1e-3, 1e30), r"1e\+30 diverged"),
    ],
)
def test_what_cannot_be_batched_is_one_sentence(change: dict[str, Any], seeds: Any, rates: Any, words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        train_replicas(dataclasses.replace(SMALL, **change), seeds, rates)
