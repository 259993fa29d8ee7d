"""The training loop: losses and rows are what they say, whatever the precision, and every method goes through it."""

from __future__ import annotations

import dataclasses
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
import torch
from training_cases import SMALL, cheap_probes, same, weights

from dynamics.observe import effective_rank
from full_models.methods import METHODS
from full_models.parallel import World
from full_models.training import Recipe, RecipeError, loop, train
from full_models.training.loop import recorded_steps
from full_models.training.material import batches, material
from full_models.training.measure import in_chunks, moments_row
from full_models.training.steps import make_method, make_optimiser, step_loss

torch.set_num_threads(1)
__all__ = ["cheap_probes"]  # the fixture


def test_the_seed_decides_and_the_global_generator_is_left_alone() -> None:
    torch.manual_seed(1)
    state = torch.get_rng_state()
    first = train(SMALL)
    assert torch.equal(state, torch.get_rng_state())
    torch.manual_seed(2)
    assert same(first, train(SMALL))
    assert not same(first, train(dataclasses.replace(SMALL, seed=6)))


def test_rows_are_the_observables_of_the_checkpoint(tmp_path: Path) -> None:
    """The last row, recomputed from the saved network with numpy."""
    run = train(SMALL, tmp_path)
    fed = material(SMALL, "cpu")
    method = make_method(SMALL, fed.train.shape)
    method.load_state_dict(weights(tmp_path))
    row = moments_row(method, fed, SMALL.seed)
    assert np.array_equal(row["spectrum"], run["spectrum"][0, -1])
    assert row["erank"] == pytest.approx(float(effective_rank(run["spectrum"][0, -1])), rel=1e-15)  # one function
    assert row["variance"] == pytest.approx(run["spectrum"][0, -1].sum(), rel=1e-12)  # a float64 sum of 8
    assert np.isfinite(np.concatenate([value.ravel() for value in run.obs.values()])).all()


def test_the_loss_of_a_row_is_the_mean_since_the_last() -> None:
    fed = material(SMALL, "cpu")
    method = make_method(SMALL, fed.train.shape).train()
    optimiser = make_optimiser(SMALL, method)
    assert optimiser is not None
    run = train(dataclasses.replace(SMALL, schedule="constant", warmup=0.0))
    seen = []
    for step, index in zip(range(12), batches(SMALL, len(fed.train), 0, World(), "cpu"), strict=False):
        optimiser.zero_grad()
        loss = step_loss(method, method, SMALL, fed, index, step)
        loss.backward()
        optimiser.step()
        method.after_step(step, 12)
        seen.append(loss.item())
    want = [seen[0], np.mean(seen[:6]), np.mean(seen[6:])]
    np.testing.assert_allclose(run["loss"][0], want, rtol=1e-12)  # float64 means of six numbers


def test_a_run_that_learns_and_one_that_cannot() -> None:
    recipe = dataclasses.replace(SMALL, method="supervised", dim=None, count=None, epochs=20, lr=0.03)
    assert train(recipe)["loss"][0, -1] < 0.5 * np.log(10)  # half of what a constant guess pays in nats
    random = train(dataclasses.replace(SMALL, method="random", dim=None))
    assert np.array_equal(random["spectrum"][0, 0], random["spectrum"][0, -1])


def test_bf16_differs_from_float32_by_its_rounding_and_no_more() -> None:
    fed = material(SMALL, "cpu")
    index = torch.arange(64)
    gradients = {}
    for precision in ("float32", "bf16"):
        recipe = dataclasses.replace(SMALL, precision=precision)
        method = make_method(recipe, fed.train.shape).train()
        loss = step_loss(method, method, recipe, fed, index, 0)
        assert loss.dtype == torch.float32
        loss.backward()
        gradients[precision] = torch.cat([p.grad.flatten() for p in method.parameters() if p.grad is not None])
    full, half = gradients["float32"], gradients["bf16"]
    error = float((half - full).norm() / full.norm())
    assert 0 < error < 16 * 2**-8  # bf16 rounds by 2^-9 at each of ~10 products and sums; 16 bounds their chain


def test_channels_last_is_the_same_network() -> None:
    recipe = dataclasses.replace(SMALL, encoder="resnet8", width=8, count=64, batch=32, epochs=1)
    plain, last = train(recipe), train(dataclasses.replace(recipe, channels_last=True))
    np.testing.assert_allclose(last["loss"][0], plain["loss"][0], rtol=1e-4)  # float32 sums in another order, 2 steps


def test_an_epoch_meets_each_image_once_in_an_order_of_its_own() -> None:
    recipe = dataclasses.replace(SMALL, batch=64)
    steps = [b.tolist() for b, _ in zip(batches(recipe, 192, 0, World(), "cpu"), range(6), strict=False)]
    first, second = (list(chain(*part)) for part in (steps[:3], steps[3:]))
    assert sorted(first) == sorted(second) == list(range(192))
    assert first != second
    later = [b.tolist() for b, _ in zip(batches(recipe, 192, 4, World(), "cpu"), range(2), strict=False)]
    assert later == steps[4:]
    halves = [next(batches(recipe, 192, 0, World(rank, 2), "cpu")).tolist() for rank in (0, 1)]
    assert list(chain(*halves)) == steps[0]


def test_recorded_steps_hold_both_ends() -> None:
    assert recorded_steps(12, 3) == [0, 6, 12]
    assert recorded_steps(2, 9) == [0, 1, 2]
    assert recorded_steps(1, 2) == [0, 1]


def test_chunks_do_not_change_a_function_of_rows() -> None:
    x = torch.arange(2500.0)
    assert torch.equal(in_chunks(torch.square, x), x.square())


@pytest.mark.parametrize("name", METHODS)
def test_every_method_trains_through_the_one_loop(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "probes", lambda *args, **kwargs: {})  # a probe is the same whatever the method
    net = "vit-micro" if METHODS[name].encoder.startswith("vit") else "linear"
    recipe = Recipe(method=name, encoder=net, width=32, count=32, batch=16, epochs=1, records=2)
    run = train(recipe)
    assert run.t.tolist() == [0, 2]
    finite = [value for key, value in run.obs.items() if key not in ("cosine", "alignment")]  # undefined at P = 0 alone
    assert all(np.isfinite(value).all() for value in finite)
    moved = not np.array_equal(run["spectrum"][0, 0], run["spectrum"][0, 1])
    assert moved == (name != "random")


def test_an_embedding_that_is_not_finite_is_said_and_not_left_to_the_eigenvalues() -> None:
    """Parameters of 1e30 are finite, and what they make of an image is not."""
    fed = material(SMALL, "cpu")
    method = make_method(SMALL, fed.train.shape)
    with torch.no_grad():
        for p in method.parameters():
            p.fill_(1e30)
    assert all(torch.isfinite(p).all() for p in method.parameters())
    with pytest.raises(RecipeError, match="training diverged, the embedding is not finite: give a smaller lr"):
        moments_row(method, fed, SMALL.seed)
