"""What a run is fed: images as stored, resident on the device, and views made there batch by batch."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from full_models.data import ImageSet, as_float, load
from full_models.methods.method import Kind
from full_models.parallel import World
from full_models.training.recipe import Recipe, RecipeError
from full_models.training.streams import stream
from full_models.views import augmentation
from full_models.views.colour import Standardise
from full_models.views.sequence import pan


@dataclass(frozen=True)
class Material:
    """train and test on the device; augment (x, generator) -> one random view of each image, in pixels; standardise:
    from pixels to what a network is fed, None where it is fed pixels."""

    train: ImageSet
    test: ImageSet
    augment: Callable[[Tensor, torch.Generator], Tensor]
    layout: torch.memory_format
    standardise: Standardise | None = None

    @property
    def raw(self) -> Material:
        """The same images, fed as pixels in [0, 1]."""
        return dataclasses.replace(self, standardise=None)

    def floats(self, images: Tensor) -> Tensor:
        """Pixels, float32 in the run's memory layout."""
        return as_float(images).contiguous(memory_format=self.layout)

    def fed(self, x: Tensor) -> Tensor:
        """What a network is fed of float images or clips x (…, c, h, w)."""
        return x if self.standardise is None else self.standardise(x)

    def views(self, index: Tensor, kind: Kind, generator: torch.Generator, frames: int = 1) -> tuple[Tensor, ...]:
        """What a method of this kind is fed of the training images `index`: two views, one view, or a clip.

        Data that are given pairs are their own views. A clip is `frames` frames of a camera that
        wanders over the image, not augmented.
        """
        x, partner = self.floats(self.train.images[index]), self.train.partner
        if kind == "frames":
            return (self.fed(pan(x, frames, generator)),)
        if partner is not None:
            return tuple(self.fed(part) for part in (x, self.floats(partner[index]))[: 1 if kind == "image" else 2])
        if kind == "image":
            return (self.fed(self.augment(x, generator)),)
        return self.fed(self.augment(torch.cat([x, x]), generator)).chunk(2)  # one call: half the kernels of two


def material(recipe: Recipe, device: str) -> Material:
    """Load the recipe's images onto the device. Raises RecipeError, or DataError where there are none.

    Test images come in an order drawn by the seed, as the first of them are what probes along the way read, and files may
    be sorted by class.
    """
    path = None if recipe.path is None else Path(recipe.path)
    train = load(recipe.data, "train", path=path, choose=partial(_chosen, recipe))
    shuffled = partial(torch.randperm, generator=stream(recipe.seed, "probe"))
    test = load(recipe.data, "test", path=path, choose=shuffled)
    if train.shape != test.shape:
        raise RecipeError(f"{recipe.data} trains on images {train.shape} and tests on {test.shape}: make them alike")
    layout = torch.channels_last if recipe.channels_last else torch.contiguous_format
    augment = augmentation(recipe.augmentation, train.shape, recipe.strength)
    standardise = Standardise(*(part.to(device) for part in train.moments())) if recipe.standardise else None
    return Material(_on(train, device), _on(test, device), augment, layout, standardise)


def _on(images: ImageSet, device: str) -> ImageSet:
    parts = {name: getattr(images, name) for name in ("images", "labels", "partner")}
    return dataclasses.replace(images, **{name: part.to(device) for name, part in parts.items() if part is not None})


def _chosen(recipe: Recipe, n: int) -> Tensor:
    """Indices of the images used, of n, in an order drawn by the seed."""
    if recipe.count is not None and recipe.count > n:
        raise RecipeError(f"count is {recipe.count}, but {recipe.data} has {n} training images: give at most that")
    used = recipe.count or n
    if used < recipe.batch:
        raise RecipeError(f"batch is {recipe.batch}, but only {used} training images are used: give a smaller batch")
    return torch.randperm(n, generator=stream(recipe.seed, "order"))[:used]


def batches(recipe: Recipe, n: int, first: int, world: World, device: str) -> Iterator[Tensor]:
    """Endless indices (batch / processes,) of this process's images at steps first, first + 1, …; a new order an epoch."""
    steps, share = n // recipe.batch, recipe.batch // world.size
    epoch, within = divmod(first, steps)
    while True:
        order = torch.randperm(n, generator=stream(recipe.seed, "order", epoch + 1)).to(device)
        for i in range(within, steps):
            yield order[i * recipe.batch + world.rank * share :][:share]
        epoch, within = epoch + 1, 0
