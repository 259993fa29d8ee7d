"""Encoders of the deep rung as pure functions of stacked parameters: R replicas in one call, none seeing another.

Parameters are a dict name -> (R, …); images are (R, B, D) flattened, embeddings (R, B, k). Float32.

mlp: D → 128 → ReLU → k.  resnet: 3x3 stem of width 16, pre-activation residual blocks of two 3x3 convolutions with 2x2
average pooling between them down to <= 4 pixels a side, mean over quarters, linear to k. No ReLU ends the residual
stream, whose GroupNorm keeps its mean near 0, so the embedding does not start as a constant plus a ripple. GroupNorm
rather than BatchNorm: it acts on each image alone, so nothing but the objective couples the samples of a batch, and
neither a collapse nor its absence is the work of a normalisation across the batch.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from dynamics.setting import SettingError

HIDDEN = 128
WIDTH = 16
GROUPS = 4
POOLED = 2  # side of the pooled map: a global mean (side 1) is nearly the same for every digit

Parameters = Mapping[str, Tensor]


def initial_parameters(
    kind: str, shape: tuple[int, ...], k: int, w0: float, rngs: list[np.random.Generator]
) -> dict[str, Tensor]:
    """Stacked parameters, replica r from rngs[r]: torch's default law U(±1/√fan_in); the last layer times w0.

    shape: of one image, (height, width), for "resnet"; any for "mlp". GroupNorm starts at offset 0 and gain 1, but at
    gain 0 where it closes a residual block (Goyal et al. 2017, section 5.1): larger features need smaller steps.
    """
    if kind == "mlp":
        layers = {"hidden": (HIDDEN, math.prod(shape)), "last": (k, HIDDEN)}
    elif kind == "resnet":
        if len(shape) != 2:
            raise SettingError(
                f"a resnet needs (height, width) images, not {shape}: set views.d = 0 or network.kind = 'mlp'"
            )
        square = (WIDTH, WIDTH, 3, 3)
        blocks = {f"block{b}.{c}": square for b in range(_blocks(shape)) for c in (1, 2)}
        layers = {"stem": (WIDTH, 1, 3, 3), **blocks, "last": (k, WIDTH * POOLED**2)}
    else:
        raise SettingError(
            f"network.kind {kind!r} is no deep network: use 'mlp' or 'resnet', or the rungs of full_models.linear"
        )
    parameters = {}
    for name, size in layers.items():
        bound = 1 / math.sqrt(math.prod(size[1:]))
        scale = bound * w0 if name == "last" else bound
        parameters[name] = _stack([scale * rng.uniform(-1, 1, size) for rng in rngs])
        if len(size) == 4:
            gain = 0.0 if name.endswith(".2") else 1.0
            parameters[f"{name}.gain"] = torch.full((len(rngs), WIDTH), gain)
            parameters[f"{name}.offset"] = torch.zeros(len(rngs), WIDTH)
        else:
            parameters[f"{name}.bias"] = _stack([scale * rng.uniform(-1, 1, size[0]) for rng in rngs])
    return parameters


def embed(kind: str, parameters: Parameters, x: Tensor, shape: tuple[int, ...]) -> Tensor:
    """z (R, B, k) of images x (R, B, D)."""
    if kind == "mlp":
        return _linear(parameters, "last", torch.relu(_linear(parameters, "hidden", x)))
    replicas, batch = x.shape[:2]
    # Replicas ride as groups of channels: one grouped convolution is R independent ones.
    h = x.transpose(0, 1).reshape(batch, replicas, *shape)
    h = _convolve(parameters, "stem", h)
    for b in range(_blocks(shape)):
        if b:
            h = F.avg_pool2d(h, 2)
        inner = _convolve(parameters, f"block{b}.1", torch.relu(h))
        h = h + _convolve(parameters, f"block{b}.2", torch.relu(inner))
    pooled = F.adaptive_avg_pool2d(h, POOLED).reshape(batch, replicas, -1).transpose(0, 1)
    return _linear(parameters, "last", pooled)


def _blocks(shape: tuple[int, ...]) -> int:
    """Blocks, each on images half as wide as the last, until these are at most 4 pixels a side: 8 → 2, 28 → 4."""
    return 1 + max(0, math.ceil(math.log2(max(shape) / 4)))


def _linear(parameters: Parameters, name: str, x: Tensor) -> Tensor:
    return torch.baddbmm(parameters[f"{name}.bias"][:, None], x, parameters[name].mT)


def _convolve(parameters: Parameters, name: str, h: Tensor) -> Tensor:
    """3x3 convolution without bias, then GroupNorm, in each replica's own channels."""
    kernel = parameters[name]
    replicas = len(kernel)
    h = F.conv2d(h, kernel.flatten(0, 1), padding=1, groups=replicas)
    gain, offset = parameters[f"{name}.gain"].flatten(), parameters[f"{name}.offset"].flatten()
    return F.group_norm(h, GROUPS * replicas, gain, offset)


def _stack(draws: list[np.ndarray]) -> Tensor:
    return torch.from_numpy(np.stack(draws)).float()
