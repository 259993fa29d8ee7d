"""The training loop: a killed run resumes to the same bits, losses and rows are what they say, bad input is one sentence."""

from __future__ import annotations

import dataclasses
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from dynamics.observe import effective_rank
from dynamics.run import Run
from dynamics.setting import SettingError
from full_models import probe
from full_models.device import usable
from full_models.methods import METHODS
from full_models.parallel import World
from full_models.training import Recipe, RecipeError, checkpoint, loop, train
from full_models.training.loop import recorded_steps
from full_models.training.material import batches, material
from full_models.training.measure import in_chunks, moments_row
from full_models.training.steps import make_method, make_optimiser, step_loss

torch.set_num_threads(1)

SMALL = Recipe(method="simclr", encoder="linear", width=16, dim=8, count=192, batch=64, epochs=4, records=3, seed=5)
STATEFUL = {  # methods whose state is more than parameters: running statistics, a queue, moving averages, moments
    "simclr": {},
    "moco": {"queue": 128},
    "byol": {},
    "directpred": {},
    "supervised": {},
}


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


def test_the_seed_decides_and_the_global_generator_is_left_alone() -> None:
    torch.manual_seed(1)
    state = torch.get_rng_state()
    first = train(SMALL)
    assert torch.equal(state, torch.get_rng_state())
    torch.manual_seed(2)
    assert same(first, train(SMALL))
    assert not same(first, train(dataclasses.replace(SMALL, seed=6)))


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


def test_given_pairs_are_their_own_views(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x = rng.random((100, 6)).astype(np.float32)
    np.savez(tmp_path / "pairs.npz", x=x, x_plus=x + 0.1 * rng.random((100, 6)))
    recipe = dataclasses.replace(SMALL, data=str(tmp_path / "pairs.npz"), count=None, batch=16, epochs=1)
    run = train(recipe)
    assert "linear" not in run.obs and run.facts["probes"] == {"trained": {}, "untrained": {}, "pixels": {}}
    assert np.isfinite(run["loss"]).all()


def test_networks_are_fed_standardised_channels_whatever_the_scale_of_the_pixels(tmp_path: Path) -> None:
    """Images of a x + b, another a and b in each channel, train to the same losses; raw ones do not."""
    x = np.random.default_rng(0).random((120, 3, 4, 4))
    x[:, 2] = 0.5  # a constant channel
    other = x * np.array([7.0, 0.01, 1.0])[:, None, None] + np.array([-2.0, 0.3, 1.0])[:, None, None]
    for name, images in (("one", x), ("other", other)):
        np.savez(tmp_path / f"{name}.npz", images=images)
    recipe = dataclasses.replace(SMALL, augmentation="none", method="vicreg", count=None, batch=16, epochs=1)

    def losses(name: str, **change: Any) -> np.ndarray:
        return train(dataclasses.replace(recipe, data=str(tmp_path / f"{name}.npz"), **change))["loss"][0]

    np.testing.assert_allclose(
        losses("other"), losses("one"), rtol=1e-3
    )  # 0.3 of 0.01 in float32: 1e-5, grown by 6 steps
    raw = losses("one", standardise=False), losses("other", standardise=False)
    assert abs(raw[0] / raw[1] - 1).max() > 0.1  # a hundred times what standardised losses may differ by


def test_moments_are_of_the_images_used_and_in_the_record() -> None:
    fed, run = material(SMALL, "cpu"), train(SMALL)
    mean, deviation = fed.train.moments()
    assert run.facts["channels"] == {"mean": mean.tolist(), "deviation": deviation.tolist()}
    clean = dataclasses.replace(fed, augment=lambda x, generator: x)
    (view,) = clean.views(torch.arange(len(fed.train)), "image", torch.Generator())
    assert abs(float(view.mean())) < 1e-5 and float(view.std()) == pytest.approx(1, abs=1e-3)  # float32; ddof
    assert train(dataclasses.replace(SMALL, standardise=False)).facts["channels"] is None
    assert fed.raw.fed(view) is view


def test_the_baseline_of_pixels_is_of_pixels() -> None:
    """k-NN reads cosines, which centring changes: the baseline is of levels in [0, 1] whatever networks are fed."""
    kept, raw = (train(dataclasses.replace(SMALL, standardise=on)).facts["probes"] for on in (True, False))
    assert kept["pixels"] == raw["pixels"] and kept["untrained"] != raw["untrained"]


def test_the_first_test_images_are_of_every_class_though_the_file_is_sorted(tmp_path: Path) -> None:
    images, labels = np.zeros((400, 4, 4), np.uint8), np.repeat(np.arange(4), 100)
    np.savez(tmp_path / "sorted.npz", images=images, labels=labels, test_images=images, test_labels=labels)
    fed = material(dataclasses.replace(SMALL, data=str(tmp_path / "sorted.npz")), "cpu")
    assert fed.test.labels is not None and fed.test.labels.bincount().tolist() == [100] * 4
    assert fed.test.labels[:100].bincount(minlength=4).min() > 5  # 25 ± 4 of each class of a random hundred


def test_train_and_test_images_of_two_shapes_are_one_sentence(tmp_path: Path) -> None:
    np.savez(tmp_path / "two.npz", images=np.zeros((90, 4, 4), np.uint8), test_images=np.zeros((9, 5, 5), np.uint8))
    with pytest.raises(RecipeError, match=r"\(1, 4, 4\) and tests on \(1, 5, 5\): make them alike"):
        train(dataclasses.replace(SMALL, data=str(tmp_path / "two.npz"), count=None))


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


def test_a_method_that_needs_labels_says_so(tmp_path: Path) -> None:
    np.savez(tmp_path / "unlabelled.npz", images=np.zeros((50, 4, 4), np.uint8))
    recipe = dataclasses.replace(SMALL, method="supervised", dim=None, data=str(tmp_path / "unlabelled.npz"), batch=8, count=None)  # fmt: skip
    with pytest.raises(ValueError, match="labels"):
        train(recipe)


def test_recipes_round_trip_through_plain_values() -> None:
    recipe = dataclasses.replace(SMALL, options={"tau": 0.2})
    assert Recipe(**recipe.to_dict()) == recipe
    assert recipe.differs(recipe.to_dict() | {"device": "cuda", "path": "elsewhere"}) == []
    assert recipe.differs(SMALL.to_dict()) == ["options"]


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
