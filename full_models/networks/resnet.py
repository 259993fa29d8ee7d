"""Residual networks with the CIFAR stem (one 3x3 convolution of stride 1, no pooling), for images of 8 to 96 pixels.

BatchNorm, as in every published recipe on CIFAR; in training mode it couples the images of a batch, and so can itself
keep an embedding from collapsing. `full_models.nets` has GroupNorm where that must be excluded.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class Block(nn.Module):
    """ReLU(x + BN conv ReLU BN conv x), 3x3 kernels; a strided or widening block projects x by a 1x1 convolution + BN.

    Source: He et al. 2016, figure 2 and section 4.1, option B.
    """

    def __init__(self, inner: int, outer: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inner, outer, 3, stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(outer)
        self.conv2 = nn.Conv2d(outer, outer, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(outer)
        self.shortcut = nn.Sequential()
        if stride != 1 or inner != outer:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inner, outer, 1, stride, bias=False),
                nn.BatchNorm2d(outer),
            )

    def forward(self, x: Tensor) -> Tensor:
        h = F.relu(self.norm1(self.conv1(x)))
        return F.relu(self.norm2(self.conv2(h)) + self.shortcut(x))


class ResNet(nn.Module):
    """Stem, then one stage an entry of `blocks` (that many Blocks; width doubles and the side halves from one stage to
    the next), then the mean over pixels: (N, c, h, w) → (N, features = width · 2^(stages - 1)).

    ResNet-18: blocks (2, 2, 2, 2), width 64, 11,168,832 parameters for c = 3, 1.11 GFLOP forward an image of 32x32.
    ResNet-8: blocks (1, 1, 1), width 16 (6n + 2 layers at n = 1, He et al. 2016 section 4.2).
    """

    def __init__(self, channels: int, width: int, blocks: tuple[int, ...]) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(channels, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()
        )
        layers: list[nn.Module] = []
        inner = width
        for stage, count in enumerate(blocks):
            outer = width * 2**stage
            for b in range(count):
                layers.append(Block(inner, outer, stride=2 if stage and not b else 1))
                inner = outer
        self.blocks = nn.Sequential(*layers)
        self.features = inner

    def forward(self, x: Tensor) -> Tensor:
        return self.blocks(self.stem(x)).mean((-2, -1))
