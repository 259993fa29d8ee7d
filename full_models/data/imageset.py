"""ImageSet: images with their labels, as a data set stores them, and the rule that holds a part of one back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

ImageShape = tuple[int, int, int]  # (c, h, w): channels, rows, columns
Split = Literal["train", "test", "unlabelled"]
HELD_OUT = 5  # where a data set has no test split of its own, each fifth image is one


class DataError(ValueError):
    """Data that is not there or cannot be read; the message is one sentence with the remedy."""


@dataclass(frozen=True)
class ImageSet:
    """images (n, c, h, w): uint8 0 … 255, or float32 as an .npz holds them; labels (n,) int64 from 0, or None.

    partner: the second views, like images, where the data are given pairs and no augmentation is to be drawn; else None.
    """

    images: Tensor
    labels: Tensor | None
    name: str
    partner: Tensor | None = None

    def __len__(self) -> int:
        return len(self.images)

    @property
    def shape(self) -> ImageShape:
        """(c, h, w) of an image."""
        _, c, h, w = self.images.shape
        return c, h, w

    def moments(self) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation (c,) of each channel over all images and pixels, after `as_float`; float32.

        Sums are float64, of one channel of at most 4,096 images at a time. A constant channel has deviation 0.
        """
        total, square = torch.zeros(2, self.shape[0], dtype=torch.float64)
        for part in self.images.split(4096):
            for k in range(self.shape[0]):
                values = as_float(part[:, k]).double()
                total[k] += values.sum()
                square[k] += values.square().sum()
        count = self.images[:, 0].numel()
        mean = total / count
        return mean.float(), (square / count - mean.square()).clamp_min(0).sqrt().float()

    def take(self, chosen: Tensor) -> ImageSet:
        """The subset at indices, or a boolean mask, over n."""
        labels, partner = (None if part is None else part[chosen] for part in (self.labels, self.partner))
        return ImageSet(self.images[chosen], labels, self.name, partner)


def as_float(images: Tensor) -> Tensor:
    """uint8 → float32 / 255 in [0, 1], on its device; floats unchanged. Exact up to one rounding."""
    return images if images.is_floating_point() else images.float() / 255


def hold_out(whole: ImageSet, split: Split) -> ImageSet:
    """The part of a data set without a split of its own: each fifth image of a class (of all, where there are no
    labels), counted in the set's own order, is "test", the rest "train". Raises DataError where a part is empty."""
    labels = torch.zeros(len(whole), dtype=torch.int64) if whole.labels is None else whole.labels
    rank = torch.empty_like(labels)
    for label in labels.unique():
        mine = labels == label
        rank[mine] = torch.arange(int(mine.sum()))
    test = rank % HELD_OUT == HELD_OUT - 1
    part = whole.take(test if split == "test" else ~test)
    if not len(part):
        raise DataError(
            f"{whole.name} has {len(whole)} images, too few to hold out a test split: give at least {HELD_OUT} a class"
        )
    return part
