"""What a step is made of: the method and the optimiser as they start, the views of a step, and their loss."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from full_models.device import check_memory
from full_models.methods import Method, build
from full_models.methods.baselines import Supervised
from full_models.methods.clip import ClipEncoder
from full_models.training.material import Material
from full_models.training.optimisers import MOMENTS, OPTIMISERS
from full_models.training.recipe import Recipe, RecipeError
from full_models.training.streams import stream


def make_method(recipe: Recipe, shape: tuple[int, int, int]) -> Method:
    """The recipe's method as it starts, drawn from the stream (seed, "start"), on the CPU."""
    options = dict(recipe.options) | ({} if recipe.dim is None else {"dim": recipe.dim})
    return build(
        recipe.method, shape, encoder=recipe.encoder, width=recipe.width, generator=stream(recipe.seed, "start"), **options
    )  # fmt: skip


FASTEST = 1e36  # a rate: divided by Adam's first 1 - beta1 it is a number of float32 still


def make_optimiser(recipe: Recipe, method: Method) -> torch.optim.Optimizer | None:
    """The recipe's optimiser over the method's groups; None where nothing is trained.

    Raises RecipeError on rates beyond FASTEST, and MemoryError where parameters, gradients and the optimiser's moments cannot fit.
    """
    groups = method.parameter_groups(recipe.lr, recipe.weight_decay)
    if not groups:
        return None
    for name in ("lr", "weight_decay"):
        if (fastest := max(group[name] for group in groups)) > FASTEST:
            raise RecipeError(
                f"{name} is {fastest:g} for some parameters: float32 holds up to {FASTEST:g}, give a smaller"
            )
    trained = [p for group in groups for p in group["params"]]
    copies = 2 + MOMENTS[recipe.optimiser]
    check_memory(copies * sum(p.nbytes for p in trained), trained[0].device)
    return OPTIMISERS[recipe.optimiser](groups, recipe.lr, recipe.momentum, recipe.weight_decay)


def check_labels(method: Method, recipe: Recipe, fed: Material) -> None:
    """Raises RecipeError unless the training images have the labels that the method needs."""
    if not isinstance(method, Supervised):
        return
    if fed.train.labels is None:
        raise RecipeError(f"{recipe.method} needs labels, and {recipe.data} has none: use a method without them")
    largest, classes = int(fed.train.labels.max()), method.head.out_features
    if largest >= classes:
        raise RecipeError(
            f"{recipe.data} has labels up to {largest} for {classes} classes: give the method classes={largest + 1}"
        )


def step_views(
    method: Method, recipe: Recipe, fed: Material, index: Tensor, step: int, rank: int = 0
) -> tuple[tuple[Tensor, ...], dict[str, Tensor]]:
    """What the method is fed at a step of the images `index`: views drawn on the device, and labels where it needs them."""
    frames = method.encoder.frames if isinstance(method.encoder, ClipEncoder) else 1
    generator = stream(recipe.seed, "views", step, rank, device=index.device)
    views = fed.views(index, method.kind, generator, frames)
    if fed.train.labels is None or not method.needs_labels:
        return views, {}
    return views, {"labels": fed.train.labels[index]}


def step_loss(network: nn.Module, method: Method, recipe: Recipe, fed: Material, index: Tensor, step: int,
              rank: int = 0) -> Tensor:  # fmt: skip
    """The loss of the images `index` at a step, networks under autocast if bf16."""
    views, labels = step_views(method, recipe, fed, index, step, rank)
    device = index.device
    with torch.autocast(device.type, torch.bfloat16, enabled=recipe.precision == "bf16"):
        return network(*views, generator=stream(recipe.seed, "loss", step, device=device), **labels)
