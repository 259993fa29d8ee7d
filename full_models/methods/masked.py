"""The methods on masked patches: I-JEPA, V-JEPA, MAE. Each maker takes its Parts, whose encoder is a ViT, and options.

The papers' predictors and decoders are about half as wide and as deep as a ViT-B or larger; here half as wide as the
encoder and 2 layers deep, on grids of 4 x 4 to 8 x 8 patches instead of 14 x 14. Heads are 32 numbers wide as there, one
where the predictor is narrower.
"""

from __future__ import annotations

import math
from functools import partial

import torch
from torch import Tensor

from full_models import losses, networks
from full_models.methods.clip import ClipEncoder, spacetime
from full_models.methods.jepa import JEPA, AllTokens, Masks, future, tubes
from full_models.methods.mae import MaskedAutoencoder
from full_models.methods.method import Method, MethodError
from full_models.methods.parts import Parts
from full_models.methods.target import MovingAverage
from full_models.methods.token_predictor import Positions, TokenPredictor
from full_models.networks.vit import ViT, sincos
from full_models.views.masks import block_masks, random_masks

VIDEO_MASKS = ("tubes", "future")
HEAD = 32  # numbers an attention head of the papers' predictors and decoders has


def ijepa(
    parts: Parts,
    *,
    blocks: int = 4,
    predictor_width: int | None = None,
    predictor_depth: int = 2,
    predictor_heads: int | None = None,
    predictor_rate: float = 1.0,
    ema: float = 0.996,
    schedule: str = "linear",
    beta: float = 1.0,
    convention: str = "reference",
) -> Method:
    """I-JEPA: 4 target blocks, smooth-L1 on layer-normed targets as the authors' code ("reference"), or squared error.

    The average rises from 0.996 to 1 along a line, as in the code.
    """
    vit = parts.vit()
    predictor = token_predictor(parts, partial(sincos, vit.grid), predictor_width, predictor_depth, predictor_heads)

    def distance(z: Tensor, t: Tensor) -> Tensor:
        return losses.jepa(z, t, M=blocks, beta=beta, convention=convention).mean()

    target = MovingAverage(AllTokens(vit), ema, schedule)
    return JEPA(vit, predictor, target, block_draw(vit, blocks), distance, predictor_rate)


def vjepa(
    parts: Parts,
    *,
    frames: int = 8,
    masks: str = "tubes",
    blocks: int = 8,
    ahead: int = 2,
    predictor_width: int | None = None,
    predictor_depth: int = 2,
    predictor_heads: int | None = None,
    predictor_rate: float = 1.0,
    ema: float = 0.998,
    schedule: str = "linear",
    p: float = 1.0,
    reg: float = 0.0,
    convention: str = "reference",
) -> Method:
    """V-JEPA on clips of `frames` frames: L1 on layer-normed targets. masks "tubes": spatial blocks through all frames,
    whose union is predicted at once, as the paper's 8 short-range blocks of 15 % of the area (there every step also
    predicts 2 blocks of 70 %); "future": the last `ahead` frames from the others. The average rises from 0.998 to 1 along
    a line, as in the code.
    """
    if masks not in VIDEO_MASKS:
        raise MethodError(f"masks {masks!r} is not one of {', '.join(VIDEO_MASKS)}")
    if not 1 <= ahead < frames:
        raise MethodError(f"ahead = {ahead} of {frames} frames: give 1 <= ahead < frames")
    vit = parts.vit()
    encoder = ClipEncoder(vit, frames)
    positions = partial(spacetime, frames, vit.grid)
    predictor = token_predictor(parts, positions, predictor_width, predictor_depth, predictor_heads)
    draw = future(ahead, frames, len(vit.position))
    if masks == "tubes":
        draw = tubes(union_draw(vit, blocks), frames, len(vit.position))

    def distance(z: Tensor, t: Tensor) -> Tensor:
        return losses.v_jepa(z, t, p=p, reg=reg, convention=convention).mean()

    target = MovingAverage(AllTokens(encoder), ema, schedule)
    return JEPA(encoder, predictor, target, draw, distance, predictor_rate)


def mae(
    parts: Parts,
    *,
    ratio: float = 0.75,
    decoder_width: int | None = None,
    decoder_depth: int = 2,
    decoder_heads: int | None = None,
    unit_patches: bool = True,
) -> Method:
    """MAE: 75 % of the patches hidden, standardised pixels (He et al. 2022, section 4)."""
    vit = parts.vit()
    random_masks(1, vit.grid, torch.Generator(), ratio=ratio)  # a ratio that hides all or nothing is told now
    outputs = vit.embedding.in_features
    decoder = token_predictor(parts, partial(sincos, vit.grid), decoder_width, decoder_depth, decoder_heads, outputs)
    return MaskedAutoencoder(vit, decoder, ratio, unit_patches)


def token_predictor(
    parts: Parts, positions: Positions, width: int | None, depth: int, heads: int | None, outputs: int | None = None
) -> TokenPredictor:
    """From tokens of the encoder to `outputs` numbers a token (None: tokens); width None is half the encoder's, heads
    None one for each HEAD of the width."""
    D = parts.features
    width = D // 2 if width is None else width
    heads = math.gcd(width, max(1, width // HEAD)) if heads is None else heads
    return networks.build(
        lambda: TokenPredictor(D, D if outputs is None else outputs, positions, width, depth, heads), parts.generator
    )


def block_draw(vit: ViT, blocks: int) -> Masks:
    """I-JEPA's block masks on the encoder's grid. Raises MethodError for blocks < 1."""
    _check_blocks(blocks)

    def draw(n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        masks = block_masks(n, vit.grid, generator, M=blocks)
        return masks.context, masks.targets

    return draw


def union_draw(vit: ViT, blocks: int) -> Masks:
    """V-JEPA's masks of a frame: all patches but those of the blocks, and those of the blocks as one."""
    _check_blocks(blocks)
    draw_blocks = partial(block_masks, M=blocks, target_scale=(0.15, 0.15), context_scale=(1.0, 1.0))

    def draw(n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        masks = draw_blocks(n, vit.grid, generator)
        return masks.context, masks.union(math.prod(vit.grid), generator)[:, None]

    return draw


def _check_blocks(blocks: int) -> None:
    if blocks < 1:
        raise MethodError(f"blocks = {blocks}: give a whole number >= 1")
