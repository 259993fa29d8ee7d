"""The one training loop: any method, any data, CPU or GPU, one process or several. Sampled: one path a run.

Every draw of step i comes from generators at the address (seed, purpose, i), and everything else a step depends on is in
the checkpoint: a run killed at any step and resumed gives the same numbers as one left alone, on a CPU bit for bit.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from dynamics.run import Array, Run
from dynamics.setting import ImageViews, Setting
from full_models.device import usable
from full_models.methods import Method
from full_models.parallel import World, check_batch, processes
from full_models.training import checkpoint
from full_models.training.material import Material, batches, material
from full_models.training.measure import PROBED, moments_row, pixels, probes
from full_models.training.optimisers import rate, set_rates
from full_models.training.recipe import Recipe, RecipeError
from full_models.training.steps import check_labels, make_method, make_optimiser, step_loss

OnStep = Callable[[int, int], None]


@dataclass
class Progress:
    """A run so far: the networks, the optimiser (None: nothing to train), steps done, rows, and the sum and number of
    the losses since the last row. `finished` holds the final probes."""

    method: Method
    optimiser: torch.optim.Optimizer | None
    losses: Tensor
    step: int = 0
    rows: list[dict[str, Array]] = field(default_factory=list)
    seconds: float = 0.0
    finished: dict[str, Any] | None = None


def train(
    recipe: Recipe,
    folder: Path | None = None,
    *,
    resume: bool = True,
    on_step: OnStep | None = None,
    checkpoint_seconds: float = 30.0,
    version: str = "",
) -> Run:
    """Train one method; source "train", R = 1. t counts optimiser steps, as adaptive optimisers have no flow time.

    obs (1, T, …): those of `measure.moments_row`; loss, the mean over the steps since the last row (row 0: of the first
    step); rate, what multiplies lr; linear and knn, probe accuracies on up to 2048 test images, where there are labels.
    facts: recipe, steps, epoch_steps, seconds, device, parameters, `channels`, the mean and deviation by which pixels are
    standardised (None where they are not), and `probes`: linear, knn and chance on the whole test set for the trained
    features, for those of the same encoder untrained, and for raw pixels (levels in [0, 1] whatever networks are fed:
    the linear probe standardises every number itself, cosines of k-NN are those of the levels).
    setting: the data and the seed only; a Setting has no words for the rest, which is in facts["recipe"].

    folder: where checkpoint.pt is kept, written at every row and every `checkpoint_seconds`; resume goes on from it
    unless it was written under another `version` of the code, whose numbers would mix with these.
    on_step(steps done, steps) follows each step. Raises RecipeError, MethodError or DataError on what makes no sense,
    on an absent GPU, on a checkpoint of another recipe, and if training diverges.
    """
    began = time.perf_counter()
    with processes(usable(recipe.device)) as (world, device):
        check_batch(recipe.batch)
        fed = material(recipe, device)
        steps = recipe.epochs * (len(fed.train) // recipe.batch)
        progress = _start(recipe, fed, device)
        if folder is not None and resume:
            _resume(progress, recipe, checkpoint.read(folder, device), version)
        began -= progress.seconds
        saved = time.perf_counter()

        def save() -> None:
            nonlocal saved
            progress.seconds, saved = time.perf_counter() - began, time.perf_counter()
            if folder is not None and world.rank == 0:
                checkpoint.write(folder, {"version": version, **_state(progress, recipe)})

        marks = set(recorded_steps(steps, recipe.records))
        network = _wrapped(progress.method, recipe, world, device)
        if not progress.rows:
            progress.rows.append(_row(progress, recipe, fed, steps))
        for index in batches(recipe, len(fed.train), progress.step, world, device):
            if progress.step == steps:
                break
            _step(progress, network, recipe, fed, index, steps, world)
            if progress.step in marks:
                progress.rows.append(_row(progress, recipe, fed, steps))
                save()
            elif time.perf_counter() - saved >= checkpoint_seconds:
                save()
            if on_step:
                on_step(progress.step, steps)
        if progress.finished is None:
            progress.finished = _final_probes(progress, recipe, fed, device)
            save()
        return _run(progress, recipe, fed, steps, device)


def recorded_steps(steps: int, records: int) -> list[int]:
    """At most `records` whole numbers from 0 to steps, both included, evenly spaced up to rounding."""
    records = min(records, steps + 1)  # which are all steps there are
    return sorted({round(i * steps / (records - 1)) for i in range(records)})


def _start(recipe: Recipe, fed: Material, device: str) -> Progress:
    method = make_method(recipe, fed.train.shape).to(device)
    check_labels(method, recipe, fed)
    if recipe.channels_last:
        method.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]  missing in torch's stub
    return Progress(method, make_optimiser(recipe, method), torch.zeros(2, dtype=torch.float64, device=device))


def _wrapped(method: Method, recipe: Recipe, world: World, device: str) -> nn.Module:
    """The method as it is called: its encoder compiled, itself in DistributedDataParallel, as asked for."""
    if recipe.compile:
        method.encoder.compile()
    if world.size == 1:
        return method
    if device.startswith("cuda"):
        nn.SyncBatchNorm.convert_sync_batchnorm(method)  # in place: only the layers inside are replaced
    return DistributedDataParallel(method, find_unused_parameters=True)


def _step(
    progress: Progress, network: nn.Module, recipe: Recipe, fed: Material, index: Tensor, steps: int, world: World
) -> None:
    method, optimiser, step = progress.method, progress.optimiser, progress.step
    method.train()
    loss = step_loss(network, method, recipe, fed, index, step, world.rank)
    if optimiser is not None:
        set_rates(optimiser, rate(recipe.schedule, step, steps, round(recipe.warmup * steps)))
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        method.after_step(step, steps)
    progress.losses += torch.stack([loss.detach().double(), torch.ones_like(loss, dtype=torch.float64)])
    if step == 0:
        progress.rows[0]["loss"] = np.asarray(loss.item())
    progress.step += 1


def _row(progress: Progress, recipe: Recipe, fed: Material, steps: int) -> dict[str, Array]:
    """Observables now. Raises RecipeError if a loss since the last row, or a parameter, is not finite."""
    method, step = progress.method, progress.step
    total, count = progress.losses.tolist()
    finite = all(bool(torch.isfinite(p).all()) for p in method.parameters())
    if not (np.isfinite(total) and finite):
        raise RecipeError(f"training diverged by step {step} with lr = {recipe.lr:g}: give a smaller lr or more warmup")
    progress.losses.zero_()
    method.eval()
    row = moments_row(method, fed, recipe.seed)
    read = probes(method.features, fed, recipe.seed, whole=False)
    row |= {name: np.asarray(read[name]) for name in ("linear", "knn") if read}
    row["loss"] = np.asarray(total / count if count else np.nan)  # row 0: filled by the first step
    row["rate"] = np.asarray(rate(recipe.schedule, max(step - 1, 0), steps, round(recipe.warmup * steps)))
    return row


def _final_probes(progress: Progress, recipe: Recipe, fed: Material, device: str) -> dict[str, Any]:
    """Probes on all images; those of the first and the last row where these already were."""
    found = {"pixels": probes(pixels, fed.raw, recipe.seed, whole=True)}
    if len(fed.train) <= PROBED[0] and len(fed.test) <= PROBED[1]:
        for name, row in (("trained", progress.rows[-1]), ("untrained", progress.rows[0])):
            found[name] = {probe: float(row.get(probe, value)) for probe, value in found["pixels"].items()}
        return found
    untrained = make_method(recipe, fed.train.shape).to(device)
    for name, method in (("trained", progress.method), ("untrained", untrained)):
        found[name] = probes(method.eval().features, fed, recipe.seed, whole=True)
    return found


def _state(progress: Progress, recipe: Recipe) -> dict[str, Any]:
    return {
        "recipe": recipe.to_dict(),
        "step": progress.step,
        "method": progress.method.state_dict(),
        "optimiser": None if progress.optimiser is None else progress.optimiser.state_dict(),
        "losses": progress.losses,
        "rows": [{name: torch.as_tensor(value) for name, value in row.items()} for row in progress.rows],
        "seconds": progress.seconds,
        "finished": progress.finished,
    }


def _resume(progress: Progress, recipe: Recipe, saved: dict[str, Any] | None, version: str) -> None:
    if saved is None or saved["version"] != version:
        return
    if names := recipe.differs(saved["recipe"]):
        name = names[0]
        raise RecipeError(
            f"the checkpoint was made with {name} = {saved['recipe'].get(name)!r}, not {getattr(recipe, name)!r}: give "
            "the same recipe, or another folder"
        )
    progress.method.load_state_dict(saved["method"])
    if progress.optimiser is not None:
        progress.optimiser.load_state_dict(saved["optimiser"])
    progress.step, progress.seconds, progress.finished = saved["step"], saved["seconds"], saved["finished"]
    progress.losses.copy_(saved["losses"])
    progress.rows = [{name: value.cpu().numpy() for name, value in row.items()} for row in saved["rows"]]


def _run(progress: Progress, recipe: Recipe, fed: Material, steps: int, device: str) -> Run:
    n = len(fed.train)
    obs = {name: np.stack([row[name] for row in progress.rows])[None] for name in progress.rows[0]}
    setting = Setting(views=ImageViews(data=recipe.data, d=0, count=n), seed=recipe.seed)
    facts = {
        "recipe": recipe.to_dict(),
        "steps": steps,
        "epoch_steps": n // recipe.batch,
        "seconds": progress.seconds,
        "device": torch.cuda.get_device_name(device) if device.startswith("cuda") else "cpu",
        "parameters": sum(p.numel() for p in progress.method.parameters() if p.requires_grad),
        "images": n,
        "test_images": len(fed.test),
        "channels": fed.standardise
        and {name: getattr(fed.standardise, name).tolist() for name in ("mean", "deviation")},
        "probes": progress.finished,
    }
    return Run(setting, "train", np.array(recorded_steps(steps, recipe.records), float), obs, facts)
