"""On a CUDA GPU training, replicas, the deep rung and the commands do what they do on the CPU; skipped where there is none."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gpu_cases import NEEDS_GPU
from training_cases import SMALL as ON_CPU
from training_cases import cheap_probes, killed_at

from full_models.deep import train_deep
from full_models.deep_settings import DEEP
from full_models.methods import METHODS
from full_models.replicas import train_replicas
from full_models.training import Recipe, checkpoint, train
from full_models.training.material import material
from full_models.training.steps import make_method, step_loss
from noncollapse import cli

pytestmark = NEEDS_GPU
torch.set_num_threads(1)
__all__ = ["cheap_probes"]  # the fixture

SMALL = dataclasses.replace(ON_CPU, device="cuda")


def trace(recipe: Recipe, folder: Path | None = None) -> np.ndarray:
    return train(recipe, folder)["loss"][0]


DRAWS = ("lejepa", "i-jepa", "v-jepa", "mae")  # a device draws masks and directions of its own


@pytest.mark.parametrize("name", METHODS)
def test_every_method_trains_and_its_loss_is_that_of_the_cpu(name: str) -> None:
    own = {"encoder": METHODS[name].encoder, "width": None} if METHODS[name].encoder != "mlp" else {}
    dim = 8 if "dim" in METHODS[name].options() else None
    # not AdamW: its division by small second moments makes steps of rounding errors
    recipe = dataclasses.replace(SMALL, method=name, dim=dim, optimiser="sgd", augmentation="none", epochs=1, **own)
    run = train(recipe)
    assert all(np.isfinite(value).all() for value in run.obs.values())
    assert run.facts["device"] == torch.cuda.get_device_name()
    if name not in DRAWS:
        here = trace(dataclasses.replace(recipe, device="cpu"))
        np.testing.assert_allclose(run["loss"][0], here, rtol=2e-3, atol=1e-4)  # float32 sums in another order, 3 steps


@pytest.mark.parametrize(
    "change", [{}, {"encoder": "resnet8", "width": 8}, {"method": "moco", "options": {"queue": 128}}]
)
def test_a_killed_run_resumes_to_the_same_losses(change: dict[str, Any], tmp_path: Path) -> None:
    recipe = dataclasses.replace(SMALL, **change)
    killed_at(recipe, tmp_path, 7, 0.0)
    np.testing.assert_allclose(trace(recipe, tmp_path), trace(recipe), rtol=1e-3)  # sums on a GPU have no fixed order


def test_a_checkpoint_moves_to_the_cpu(tmp_path: Path) -> None:
    clean = dataclasses.replace(SMALL, augmentation="none")  # views are drawn by the device
    killed_at(clean, tmp_path, 7, 0.0)
    saved = checkpoint.read(tmp_path, "cpu")
    assert saved is not None and saved["step"] == 7
    moved = trace(dataclasses.replace(clean, device="cpu"), tmp_path)
    np.testing.assert_allclose(moved, trace(clean), rtol=1e-3)  # float32 sums in another order, 12 steps


def test_bf16_channels_last_and_compiled_networks_differ_by_rounding() -> None:
    base = dataclasses.replace(SMALL, encoder="resnet8", width=16, augmentation="none", epochs=1)
    plain = trace(base)
    changes: dict[str, tuple[dict[str, Any], float]] = {
        "channels last": ({"channels_last": True}, 1e-3),  # float32 sums in another order, and convolutions in tf32
        "compiled": ({"compile": True}, 1e-3),  # the same
        "bf16": ({"precision": "bf16"}, 16 * 2**-8),  # 2^-9 a rounding; 16 bounds the chain of layers
    }
    for name, (change, law) in changes.items():
        off = np.abs(trace(dataclasses.replace(base, **change)) / plain - 1).max()
        assert off < law, name


def test_bf16_is_bf16() -> None:
    fed, index = material(SMALL, "cuda"), torch.arange(64, device="cuda")
    losses = []
    for precision in ("float32", "bf16"):
        recipe = dataclasses.replace(SMALL, precision=precision, augmentation="none")
        method = make_method(recipe, fed.train.shape).cuda().train()
        losses.append(step_loss(method, method, recipe, fed, index, 0).item())
    assert 0 < abs(losses[1] / losses[0] - 1) < 16 * 2**-8  # as above, and not float32


def test_replicas_at_once_are_the_runs_one_by_one() -> None:
    recipe = dataclasses.replace(SMALL, encoder="mlp", optimiser="sgd", epochs=2, warmup=0.3)
    together = train_replicas(recipe, (3, 8), (1e-3, 1e-2))
    for r, (seed, lr) in enumerate(product((3, 8), (1e-3, 1e-2))):
        alone = trace(dataclasses.replace(recipe, seed=seed, lr=lr))
        np.testing.assert_allclose(together["loss"][r], alone, rtol=1e-2)  # float32 rounding 1e-7, grown by 6 steps


@pytest.mark.parametrize("kind", ["mlp", "resnet"])
def test_the_deep_rung_takes_the_steps_of_the_cpu(kind: str) -> None:
    setting = DEEP["simsiam-mlp"].replace(network__kind=kind, views__count=64, training__t_end=1.0, training__points=3)
    here, there = (train_deep(setting, 2, device=device) for device in ("cpu", "cuda"))
    for name in ("loss", "variance", "P"):
        scale = np.abs(here[name]).max()
        np.testing.assert_allclose(there[name], here[name], atol=1e-3 * scale)  # float32 and tf32, 10 steps


def test_the_commands_take_the_device(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results = ("--results", str(tmp_path))
    words = ("--net", "linear", "--width", "8", "--dim", "4", "--count", "128", "--batch", "64", "--records", "3")
    assert cli.main(["train", "simclr", *words, "--epochs", "2", "--device", "cuda", "--json", *results]) == 0
    record = json.loads(capsys.readouterr().out)
    assert torch.cuda.get_device_name() in json.dumps(record)
    words = ("verify", "tian-theorem3", "--rung", "deep", "--device", "cuda", *results)
    said = subprocess.run([sys.executable, "-m", "noncollapse", *words], capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stderr
    assert json.loads((tmp_path / "deep" / "simsiam-mlp.json").read_text())["device"] == "cuda"
