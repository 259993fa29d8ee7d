"""On a CUDA GPU everything does what it does on the CPU: SGD ensembles, training, replicas, losses, the deep rung.

Skipped where there is none. `python -m pytest tests/test_gpu.py` on a machine that has one takes a minute.
"""

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
from sgd_cases import BASE, FORMS, ROUNDING, VARIANTS, SamePairs, gap
from sgd_law import FOUR_SE, LAWS, drawn, entries, least_p_of, least_p_value, standard_errors_off, worst
from test_blocked import excess, value_and_gradients, views

from dynamics.setting import SettingError
from dynamics.views import moments
from full_models import probe
from full_models.deep import train_deep
from full_models.deep_settings import DEEP
from full_models.ensemble import sgd_ensemble
from full_models.linear import sgd
from full_models.losses import blocked_info_nce, blocked_nt_xent, info_nce, nt_xent
from full_models.methods import METHODS
from full_models.replicas import train_replicas
from full_models.training import Recipe, checkpoint, train
from full_models.training.material import material
from full_models.training.steps import make_method, step_loss
from noncollapse import cli

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU here")
torch.set_num_threads(1)

SMALL = Recipe(method="simclr", encoder="linear", width=16, dim=8, count=192, batch=64, epochs=4, records=3, seed=5,
               device="cuda")  # fmt: skip
ON_CPU = dataclasses.replace(SMALL, device="cpu")


@pytest.fixture(autouse=True)
def cheap_probes(monkeypatch: pytest.MonkeyPatch) -> None:
    """One decay instead of a grid; what the probes do is the affair of test_probe."""
    monkeypatch.setattr(probe, "DECAYS", (0.1,))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", VARIANTS)
def test_each_step_of_an_ensemble_is_that_of_autograd_on_the_same_batch(name: str, form: str) -> None:
    setting = VARIANTS[name].replace(training__batch=FORMS[form])
    (run,) = sgd_ensemble([setting], 3, device="cuda", streams=SamePairs)
    assert gap(run, sgd(setting, 3)) < ROUNDING
    (other,) = sgd_ensemble(
        [setting.replace(training__t_end=1.001 * setting.training.t_end)], 3, device="cuda", streams=SamePairs
    )
    assert gap(other, sgd(setting, 3)) > 1e6 * ROUNDING  # a step longer by 1e-3 is seen


@pytest.mark.parametrize("name", LAWS)
def test_drawn_moments_have_the_mean_and_covariance_of_a_batch(name: str) -> None:
    batch = drawn(LAWS[name], "cuda")
    mean, covariance = standard_errors_off(LAWS[name], batch)
    assert mean < 4.5  # standard errors, n = 20 000; the largest of up to 27 entries, hence half a one beyond 4
    assert covariance < 5  # standard errors, n = 20 000; the largest of up to 729
    if name != "clean anchor":  # its law is singular: functionals of it are constants
        assert least_p_value(LAWS[name], batch) > FOUR_SE  # n = 20 000 against 20 000, 5 functionals


@pytest.mark.parametrize("batch", [2, 30])
def test_images_are_drawn_as_those_of_the_pool(batch: int) -> None:
    setting = VARIANTS["images"].replace(training__batch=batch)
    m, got = moments(setting), drawn(setting, "cuda")
    assert (
        worst(entries(got), np.concatenate([m.A.ravel(), m.C.ravel()])) < 4.5
    )  # standard errors, n = 20 000, 18 entries
    assert least_p_of(got, drawn(setting, "numpy")) > FOUR_SE  # n = 20 000 against 20 000, 5 functionals


@pytest.mark.parametrize("batch", [2, 30])
def test_a_run_does_not_depend_on_what_runs_beside_it(batch: int) -> None:
    base = BASE.replace(training__batch=batch, training__t_end=1.0, training__points=3)
    many = [base.replace(network__k=k, training__lr=h) for k in (2, 4) for h in (0.1, 0.05)]
    runs = sgd_ensemble(many, 70, device="cuda")
    for setting, run in zip(many, runs, strict=True):
        (alone,) = sgd_ensemble([setting], 2, seed0=67, device="cuda")
        for name in ("W", "P", "loss"):
            np.testing.assert_allclose(alone[name], run[name][67:69], rtol=1e-11)  # products may round otherwise


def test_a_thousand_replicas_at_once_agree_in_law_with_those_of_the_cpu() -> None:
    setting = BASE.replace(training__batch=8, training__t_end=1.0, training__points=2)
    got, expected = (
        run["W"][:, -1].reshape(1000, -1)
        for device, engine in (("cuda", None), ("cpu", "compiled"))
        for run in sgd_ensemble([setting], 1000, device=device, engine=engine)
    )
    error = np.sqrt((got.var(0) + expected.var(0)) / 1000)
    assert (np.abs(got.mean(0) - expected.mean(0)) < 4 * error).all()  # 4 standard errors, n = 1000 on both sides
    ratio = np.log(got.var(0) / expected.var(0))
    assert (np.abs(ratio) < 4.5 * np.sqrt(4 / 1000)).all()  # se of log s² is √(2/n); two of them, 6 weights


@pytest.mark.parametrize("batch", [2, 30])
@pytest.mark.parametrize("name", ["two decays", "symmetric P", "symmetrised ema", "images"])
def test_blocks_replayed_as_a_graph_are_the_steps_one_by_one(name: str, batch: int) -> None:
    """Records every 10 steps leave no block of 16 whole; one record after 160 steps leaves nine to the graph."""
    setting = VARIANTS[name].replace(training__batch=batch, training__t_end=0.05 * 160)
    (stepped,), (replayed,) = (
        sgd_ensemble([setting.replace(training__points=points)], 70, device="cuda") for points in (17, 2)
    )
    for M in "WPV":
        np.testing.assert_allclose(replayed[M][:, -1], stepped[M][:, -1], rtol=1e-12, atol=1e-14)  # the same kernels
        assert np.abs(stepped[M][:, -1] - stepped[M][:, -2]).max() > 1e-4  # ten steps are seen


@pytest.mark.parametrize("batch", [2, 30])
@pytest.mark.parametrize("name", ["predictor", "images"])
def test_single_steps_after_a_graph_go_on_in_the_stream(name: str, batch: int) -> None:
    """Records every 40 steps: two blocks, of which the second is replayed, and 8 steps one by one, then 8 and two replays, …"""
    setting = VARIANTS[name].replace(training__batch=batch, training__t_end=0.05 * 120)
    (mixed,), (whole,) = (sgd_ensemble([setting.replace(training__points=n)], 70, device="cuda") for n in (4, 121))
    for M in "WPV":
        np.testing.assert_allclose(mixed[M], whole[M][:, ::40], rtol=1e-12, atol=1e-14)  # the same kernels
        assert np.abs(whole[M][:, 40] - whole[M][:, 39]).max() > 1e-5  # a step is seen


def test_a_full_memory_is_one_sentence() -> None:
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(1e-3)
    try:
        with pytest.raises(SettingError, match=r"memory of cuda is full: give fewer replicas a call \(seed0"):
            sgd_ensemble([BASE.replace(training__batch=2000, network__k=3)], 10**6, device="cuda")
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)


BLOCKED = {"InfoNCE": (info_nce, blocked_info_nce), "NT-Xent": (nt_xent, blocked_nt_xent)}


@pytest.mark.parametrize("name", BLOCKED)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_blocked_losses_are_the_plain_ones(name: str, dtype: torch.dtype) -> None:
    plain, other = BLOCKED[name]
    for N, tau in product((7, 700), (0.5, 0.002)):
        assert excess(plain, other, [z.cuda() for z in views(N, 6, dtype)], tau) <= 1


def with_edges(dtype: torch.dtype, scale: float = 1.0) -> list[torch.Tensor]:
    """Two views with a zero row, and in the wide types one below the floor of its norm."""
    inputs = [scale * z for z in views(300, 8, dtype)]
    inputs[0][3] = 0
    if dtype.itemsize > 2:
        inputs[1][5] *= 1e-14 / scale
    return inputs


@pytest.mark.parametrize("name", BLOCKED)
@pytest.mark.parametrize(
    ("inputs", "law"),
    [
        (with_edges(torch.float64), 8 * 308 * 2**-53 / 0.05),  # 8 (N + d) u / tau as in test_blocked
        (with_edges(torch.float32), 8 * 308 * 2**-24 / 0.05),
        (with_edges(torch.float32, 1e36), 8 * 308 * 2**-24 / 0.05),  # rows so long that they overflow over tau
        (with_edges(torch.float16), 2**-10),  # computed in float32, rounded once
        (with_edges(torch.bfloat16), 2**-7),
    ],
    ids=["float64", "float32", "long rows", "float16", "bfloat16"],
)
def test_blocked_losses_at_their_edges_are_those_of_the_cpu(name: str, inputs: list[torch.Tensor], law: float) -> None:
    """Row by row: a zero row's gradient is 1 / floor times the others'."""
    here, there = (
        value_and_gradients(BLOCKED[name][1], [z.to(on) for z in inputs], tau=0.05) for on in ("cpu", "cuda")
    )
    for expected, got in zip(here, there, strict=True):
        assert got.dtype == expected.dtype and got.isfinite().all() and got.abs().max() > 0
        size = expected.double().abs().amax(-1) if expected.ndim else expected.double().abs()
        off = (got.cpu().double() - expected.double()).abs()
        off = off.amax(-1) if off.ndim else off
        least = float(size.median()) + 1e-7 * (expected.dtype.itemsize == 2)  # 6e-8 is float16's least number
        assert (off <= law * size.clamp(min=least)).all()


@pytest.mark.parametrize("name", BLOCKED)
@pytest.mark.parametrize("tau", [0.5, 0.002])
def test_a_learned_temperature_has_the_plain_losses_gradient(name: str, tau: float) -> None:
    slopes = []
    for loss in BLOCKED[name]:
        t = torch.tensor(tau, dtype=torch.float64, device="cuda", requires_grad=True)
        loss(*(z.cuda() for z in views(60, 4)), tau=t).backward()
        slopes.append(t.grad)
    torch.testing.assert_close(*slopes, rtol=0, atol=8 * 64 * 2**-53 / tau**2)  # 8 (N + d) u in the unit of 1 / tau²
    assert slopes[0].abs() > 1e-3  # it is not 0


@pytest.mark.parametrize("name", BLOCKED)
def test_blocked_losses_of_many_samples_need_no_matrix(name: str) -> None:
    N, d = 32768, 64
    z, z_plus = (torch.randn(N, d, device="cuda", requires_grad=True) for _ in range(2))
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    BLOCKED[name][1](z, z_plus).backward()
    rows = N if name == "InfoNCE" else 2 * N
    assert torch.cuda.max_memory_allocated() - before < rows**2 * 4 / 30  # 1/30 of the plain loss's one matrix


def trace(recipe: Recipe, folder: Path | None = None) -> np.ndarray:
    return train(recipe, folder)["loss"][0]


def killed_at_7(recipe: Recipe, folder: Path) -> None:
    """The run is interrupted after step 7, which its checkpoint holds."""

    def on_step(done: int, steps: int) -> None:
        if done == 7:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        train(recipe, folder, on_step=on_step, checkpoint_seconds=0.0)


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
    killed_at_7(recipe, tmp_path)
    np.testing.assert_allclose(trace(recipe, tmp_path), trace(recipe), rtol=1e-3)  # sums on a GPU have no fixed order


def test_a_checkpoint_moves_to_the_cpu(tmp_path: Path) -> None:
    clean = dataclasses.replace(SMALL, augmentation="none")  # views are drawn by the device
    killed_at_7(clean, tmp_path)
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
