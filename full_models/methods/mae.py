"""Masked autoencoder: pixels of hidden patches from an encoding of the few patches seen (He et al. 2022)."""

from __future__ import annotations

import torch
from torch import Tensor

from full_models.losses import mae
from full_models.methods.method import Method
from full_models.methods.token_predictor import TokenPredictor
from full_models.networks.vit import ViT, select
from full_models.parallel import own_rows, whole_batch, world
from full_models.views.masks import random_masks


class MaskedAutoencoder(Method):
    """Mean over images of the mean squared error over their hidden patches; the patches seen cost nothing.

    ratio: share of patches hidden. unit_patches: each target patch is standardised.
    """

    kind = "image"
    encoder: ViT

    def __init__(self, encoder: ViT, decoder: TokenPredictor, ratio: float, unit_patches: bool) -> None:
        super().__init__(encoder)
        self.decoder = decoder
        self.ratio = ratio
        self.unit_patches = unit_patches

    def draw(self, *views: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        masks = random_masks(world().size * len(views[0]), self.encoder.grid, generator, ratio=self.ratio)
        return {"keep": own_rows(masks.keep), "hidden": own_rows(masks.hidden)}

    def loss(self, x: Tensor, keep: Tensor, hidden: Tensor) -> Tensor:
        painted = self.decoder(self.encoder.tokens(x, keep), keep, hidden)
        return whole_batch(self._error, painted, select(self.encoder.patches(x), hidden))

    def _error(self, painted: Tensor, pixels: Tensor) -> Tensor:
        everywhere = torch.ones_like(pixels[..., 0])  # only hidden patches are here
        return mae(painted, pixels, mask=everywhere, unit_patches=self.unit_patches).mean()
