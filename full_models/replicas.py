"""Many small networks as one: seeds x rates of a Recipe, stacked along a leading axis by torch.func. Sampled.

Replica r = (seed, rate) takes exactly the steps that `training.train` takes with that seed and lr: same start, images,
views and rates, gradients by one vmapped backward, so a result differs from the single run's by rounding alone. Replicas
of one seed share their views and what their loss draws (directions, masks), which is drawn outside the batch. What has another
shape cannot be stacked: widths are one call each, and so are seeds where masks have a size of their own (I-JEPA).
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call, grad_and_value, vmap
from torch.nn.attention import SDPBackend, sdpa_kernel

from dynamics.run import Array, Run
from dynamics.setting import ImageViews, Setting
from full_models.device import usable
from full_models.methods import Method
from full_models.parallel import World
from full_models.stack import Stack, Tensors, replica, stacked
from full_models.training.loop import OnStep, recorded_steps
from full_models.training.material import Material, batches, material
from full_models.training.measure import moments_row
from full_models.training.optimisers import BETAS, TRUST, rate
from full_models.training.recipe import Recipe, RecipeError
from full_models.training.steps import check_labels, step_views
from full_models.training.streams import stream

EPS = 1e-8  # AdamW's, as in torch


class _Call(nn.Module):
    """A method's `loss` or `after_step` as a module's call, which is what runs on tensors from elsewhere.

    `after_step` runs on stacked tensors as it is: it is elementwise or batched in every method.
    """

    def __init__(self, method: Method) -> None:
        super().__init__()
        self.method = method

    def forward(self, name: str, *arguments: Any, **keywords: Any) -> Any:
        return getattr(self.method, name)(*arguments, **keywords)


def train_replicas(
    recipe: Recipe, seeds: Sequence[int], rates: Sequence[float], *, on_step: OnStep | None = None
) -> Run:
    """Train len(seeds) x len(rates) replicas of a recipe at once; source "train", seed-major, t in optimiser steps.

    obs (R, T, …): those of `measure.moments_row`, and loss, the mean over the steps since the last row (row 0: of the
    first step). facts: recipe, steps, seconds, seeds and rates (R). recipe.seed and recipe.lr are not used. No probes,
    no checkpoint: runs are short. Raises RecipeError for what cannot be batched or diverges.
    """
    began = time.perf_counter()
    seeds, rates = _listed("seeds", seeds), _listed("rates", rates)
    device = _check(recipe, seeds, rates)
    fed = [material(dataclasses.replace(recipe, seed=seed), device) for seed in seeds]
    replicas = [dataclasses.replace(recipe, seed=seed, lr=lr) for seed, lr in product(seeds, rates)]
    stack = stacked(replicas, fed[0].train.shape, device)
    for own in fed:
        check_labels(stack.skeleton, recipe, own)
    steps = recipe.epochs * (len(fed[0].train) // recipe.batch)
    marks = recorded_steps(steps, recipe.records)
    order = [batches(r, len(f.train), 0, World(), device) for r, f in zip(replicas[:: len(rates)], fed, strict=True)]
    rows, losses = [_row(stack, replicas, fed)], []
    for step in range(steps):
        losses.append(take_step(stack, replicas, fed, [next(o) for o in order], step, steps))
        if step + 1 in marks:
            mean = torch.stack(losses).double().mean(0).cpu().numpy()
            _check_finite(stack, mean, replicas, step + 1)
            if step + 1 == marks[1]:
                rows[0]["loss"] = losses[0].double().cpu().numpy()
            rows.append(_row(stack, replicas, fed) | {"loss": mean})
            losses = []
        if on_step:
            on_step(step + 1, steps)
    obs = {name: np.stack([row[name] for row in rows], axis=1) for name in rows[0]}
    facts = {
        "recipe": recipe.to_dict(),
        "steps": steps,
        "seconds": time.perf_counter() - began,
        "seeds": [r.seed for r in replicas],
        "rates": [r.lr for r in replicas],
    }
    setting = Setting(views=ImageViews(data=recipe.data, d=0, count=len(fed[0].train)), seed=seeds[0])
    return Run(setting, "train", np.array(marks, float), obs, facts)


def take_step(
    stack: Stack, replicas: Sequence[Recipe], fed: Sequence[Material], index: Sequence[Tensor], step: int, steps: int
) -> Tensor:
    """One step of every replica; its losses (R,). index: each seed's images at this step.

    What a loss draws is drawn here, from each seed's generator at (seed, "loss", step), as `steps.step_loss` does.
    """
    per_seed = len(replicas) // len(fed)
    views, given = [], []
    for one, f, i in zip(replicas[::per_seed], fed, index, strict=True):
        x, labels = step_views(stack.skeleton, one, f, i, step)
        generator = stream(one.seed, "loss", step, device=i.device)
        views.append(stack.skeleton.check(x))
        given.append(labels | stack.skeleton.draw(*x, generator=generator))
    inputs = [_stacked(group, per_seed) for group in zip(*views, strict=True)]
    keywords = {name: _stacked([k[name] for k in given], per_seed) for name in given[0]}
    trained = {name: stack.parameters[name] for name in stack.groups}
    fixed = {name: value for name, value in stack.parameters.items() if name not in trained}
    gradients, losses = _gradients(stack, trained, fixed, inputs, keywords)
    factor = rate(replicas[0].schedule, step, steps, round(replicas[0].warmup * steps))
    for name, g in gradients.items():
        _move(stack, replicas[0], name, g, factor, step + 1)
    functional_call(
        _Call(stack.skeleton), _under("method.", stack.parameters, stack.buffers), ("after_step", step, steps)
    )
    return losses


def _stacked(of_seeds: Sequence[Tensor], per_seed: int) -> Tensor:
    """(R, …) of one tensor a seed, seed-major."""
    if len({x.shape for x in of_seeds}) > 1:
        raise RecipeError(
            "this method draws masks whose size differs from seed to seed: give one seed, whose rates can be batched"
        )
    return torch.stack(list(of_seeds)).repeat_interleave(per_seed, 0)


def _gradients(stack: Stack, trained: Tensors, fixed: Tensors, inputs: list[Tensor],
               keywords: Tensors) -> tuple[Tensors, Tensor]:  # fmt: skip
    """(∂loss/∂trained, loss) of every replica in one vmapped backward; buffers are updated in place."""
    call = _Call(stack.skeleton)

    def loss(trained: Tensors, fixed: Tensors, buffers: Tensors, views: list[Tensor], given: Tensors) -> Tensor:
        return functional_call(call, _under("method.", trained, fixed, buffers), ("loss", *views), given)

    try:
        with sdpa_kernel(SDPBackend.MATH):  # attention's other kernels know no batch of networks, and would be a loop
            return vmap(grad_and_value(loss), randomness="error")(trained, fixed, stack.buffers, inputs, keywords)
    except RuntimeError as error:
        raise RecipeError(
            f"this method cannot be batched over replicas ({str(error).splitlines()[0]}): train its seeds one by one"
        ) from None


@torch.no_grad()
def _move(stack: Stack, recipe: Recipe, name: str, g: Tensor, factor: float, t: int) -> None:
    """The optimiser's step t = 1, 2, … of one stacked parameter, in place; formulas as in `training.optimisers`."""
    w, group, shape = stack.parameters[name], stack.groups[name], (-1, *[1] * (g.ndim - 1))
    lr = (stack.rates * group["lr"] * (1.0 if group.get("fixed_lr", False) else factor)).to(g.dtype).view(shape)
    wd = group["weight_decay"]
    if recipe.optimiser == "adamw":
        b1, b2 = BETAS
        w.mul_(1 - lr * wd)
        m, v = stack.first[name].lerp_(g, 1 - b1), stack.second[name].mul_(b2).addcmul_(g, g, value=1 - b2)
        w.sub_(lr / (1 - b1**t) * m / ((v / (1 - b2**t)).sqrt() + EPS))
        return
    if recipe.optimiser == "lars":
        if g.ndim > 2:  # a matrix or kernel, beside the replicas' axis
            g = g + wd * w
            if group.get("adapt", True):
                axes = tuple(range(1, g.ndim))
                norm, length = (x.norm(dim=axes, keepdim=True) for x in (w, g))
                nonzero = (norm > 0) & (length > 0)
                g = g * torch.where(nonzero, TRUST * norm / length.where(nonzero, 1.0), 1.0)
    else:
        g = g + wd * w
    w.sub_(lr * stack.first[name].mul_(recipe.momentum).add_(g))


def _row(stack: Stack, replicas: Sequence[Recipe], fed: Sequence[Material]) -> dict[str, Array]:
    per_seed = len(replicas) // len(fed)
    rows = []
    for r, one in enumerate(replicas):
        own = fed[r // per_seed]
        rows.append(moments_row(replica(stack, one, r, own.train.shape), own, one.seed))
    return {name: np.stack([row[name] for row in rows]) for name in rows[0]}


def _under(prefix: str, *parts: Tensors) -> Tensors:
    return {prefix + name: value for part in parts for name, value in part.items()}


def _listed(name: str, numbers: Sequence[Any]) -> list[Any]:
    """Python's own numbers, where they may be numpy's."""
    try:
        return np.array(list(numbers)).tolist()
    except TypeError:
        raise RecipeError(f"{name} = {numbers!r}: give a list of numbers") from None


def _check(recipe: Recipe, seeds: Sequence[int], rates: Sequence[float]) -> str:
    if not seeds or not rates:
        raise RecipeError(f"{len(seeds)} seeds and {len(rates)} rates: give at least one of each")
    if recipe.precision != "float32" or recipe.compile:
        raise RecipeError("replicas are batched in float32 and not compiled: leave precision and compile out")
    return usable(recipe.device)


def _check_finite(stack: Stack, losses: Array, replicas: Sequence[Recipe], step: int) -> None:
    finite = np.isfinite(losses)
    for value in stack.parameters.values():
        finite &= torch.isfinite(value).flatten(1).all(1).cpu().numpy()
    if not finite.all():
        bad = replicas[int(finite.argmin())]
        raise RecipeError(
            f"seed {bad.seed} at lr = {bad.lr:g} diverged by step {step}: leave that rate out, or give more warmup"
        )
