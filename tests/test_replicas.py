"""Replicas batched by torch.func take the steps of separately trained networks, one by one."""

from __future__ import annotations

import dataclasses
import json
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch

from full_models import replicas
from full_models.methods.joint import JointEmbedding
from full_models.parallel import World
from full_models.replicas import take_step, train_replicas
from full_models.stack import stacked
from full_models.training import Recipe, RecipeError, train
from full_models.training.material import Material, batches, material
from full_models.training.optimisers import rate, set_rates
from full_models.training.steps import make_method, make_optimiser, step_loss
from full_models.training.streams import stream

torch.set_num_threads(1)

SMALL = Recipe(encoder="mlp", width=12, dim=6, count=96, batch=32, epochs=2, records=3, warmup=0.3, weight_decay=0.01,
               optimiser="sgd")  # fmt: skip
# A bias before a batch norm has gradient 0 up to rounding, which AdamW's division makes into full steps of random sign
ADAMW: dict[str, Any] = {"optimiser": "adamw", "options": {"norm": False}}
VIT: dict[str, Any] = {"encoder": "vit-micro", "width": 16, "dim": None}
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
    "directions drawn in the loss": {"method": "lejepa"},
    "patches drawn in the loss": {"method": "mae", **VIT},
    "blocks, as many to every seed": {"method": "v-jepa", **VIT, "options": {"masks": "future"}, "count": 64},
}
ONE_SEED: dict[str, dict[str, Any]] = {  # their blocks have another size with each draw
    "blocks": {"method": "i-jepa", **VIT},
    "blocks of a clip": {"method": "v-jepa", **VIT, "count": 64},
}


@pytest.fixture
def double(monkeypatch: pytest.MonkeyPatch) -> None:
    """Networks and images in float64, so that agreement is told from float32's rounding."""
    floats, make = Material.floats, make_method
    monkeypatch.setattr(Material, "floats", lambda self, images: floats(self, images).double())
    monkeypatch.setattr("full_models.stack.make_method", lambda recipe, shape: make(recipe, shape).double())


@pytest.mark.usefixtures("double")
@pytest.mark.parametrize("case", [*CASES, *ONE_SEED])
def test_every_step_is_the_separate_networks_step(case: str) -> None:
    recipe = dataclasses.replace(SMALL, **(CASES | ONE_SEED)[case])
    seeds = SEEDS if case in CASES else SEEDS[:1]
    each = [dataclasses.replace(recipe, seed=seed, lr=lr) for seed, lr in product(seeds, RATES)]
    fed = [material(dataclasses.replace(recipe, seed=seed), "cpu") for seed in seeds]
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


@pytest.mark.parametrize("method", ["simclr", "lejepa"])  # without and with draws in the loss
def test_a_run_of_replicas_is_the_runs_side_by_side(method: str) -> None:
    recipe = dataclasses.replace(SMALL, method=method, **ADAMW)
    together = train_replicas(recipe, SEEDS, RATES)
    assert together.facts["seeds"] == [3, 3, 8, 8] and together.facts["rates"] == [1e-3, 1e-2, 1e-3, 1e-2]
    for r, (seed, lr) in enumerate(product(SEEDS, RATES)):
        alone = train(dataclasses.replace(recipe, seed=seed, lr=lr))
        for name in ("loss", "spectrum", "variance"):
            # float32 rounding 1e-7, amplified as above
            np.testing.assert_allclose(together[name][r], alone[name][0], rtol=1e-2, atol=1e-4)
    assert not np.allclose(
        together["spectrum"][0], together["spectrum"][1], rtol=1e-2, atol=1e-4
    )  # other rates are other runs
    assert not np.allclose(together["spectrum"][0], together["spectrum"][2], rtol=1e-2, atol=1e-4)  # and other seeds


def test_seeds_and_rates_may_be_numpys() -> None:
    short = dataclasses.replace(SMALL, method="directclr", dim=4, epochs=1)
    runs = [train_replicas(short, *given) for given in ((np.arange(2), np.array([1e-3])), (range(2), [1e-3]))]
    np.testing.assert_array_equal(*(run["loss"] for run in runs))
    assert json.dumps(runs[0].facts["seeds"]) == "[0, 1]"  # numpy's own whole numbers are no JSON


@pytest.mark.usefixtures("double")
@pytest.mark.parametrize("moved", [(1, 0), (0, 1)], ids=["seed", "step"])
def test_draws_of_another_address_would_be_seen(moved: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    each = [dataclasses.replace(SMALL, method="lejepa", seed=seed) for seed in SEEDS]
    fed = [material(one, "cpu") for one in each]
    losses = []
    for by_seed, by_step in ((0, 0), moved):
        elsewhere = lambda seed, purpose, step, s=by_seed, t=by_step, **k: stream(seed + s, purpose, step + t, **k)  # noqa: E731
        monkeypatch.setattr(replicas, "stream", elsewhere)
        stack = stacked(each, fed[0].train.shape, "cpu")
        losses.append(take_step(stack, each, fed, [torch.arange(32)] * 2, 0, STEPS))
    assert (losses[0] - losses[1]).abs().min() > 1e-6  # agreement above is to 1e-9


def test_a_draw_inside_a_loss_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Inside the batch every replica would share it: a method must draw in `draw`."""
    own = JointEmbedding.loss
    noisy = lambda self, x, x_plus: own(self, x + torch.rand(x.shape), x_plus)  # noqa: E731
    monkeypatch.setattr(JointEmbedding, "loss", noisy)
    with pytest.raises(RecipeError, match="one by one"):
        train_replicas(SMALL, (0,), (1e-3,))


@pytest.mark.parametrize(
    ("change", "seeds", "rates", "words"),
    [
        ({}, (), (1e-3,), "at least one"),
        ({}, (0,), np.array([]), "1 seeds and 0 rates: give at least one of each"),
        ({}, 3, (1e-3,), "seeds = 3: give a list of numbers"),
        ({}, (0,), np.array(1e-3), r"rates = array\(0\.001\): give a list of numbers"),
        ({"precision": "bf16"}, (0,), (1e-3,), "float32"),
        ({"method": "random", "dim": None}, (0,), (1e-3,), "trains nothing"),
        ({"method": "i-jepa", **VIT}, (3, 8), (1e-3,), "differs from seed to seed: give one seed"),
        ({"warmup": 0.0}, (0,), (1e-3, 1e30), r"1e\+30 diverged"),
    ],
)
def test_what_cannot_be_batched_is_one_sentence(change: dict[str, Any], seeds: Any, rates: Any, words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        train_replicas(dataclasses.replace(SMALL, **change), seeds, rates)
