"""The ViT: its tokens against numpy, what it sees of a subset of patches, and where its patches lie."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from network_cases import SHAPE, images, seeded

from full_models.networks import build
from full_models.networks.vit import ViT, default_patch, select, sincos

torch.set_num_threads(1)


def tokens_by_hand(vit: ViT, x: np.ndarray, keep: list[int]) -> np.ndarray:
    """Tokens of one image (c, h, w), numpy float64, from the weights by name: only patches in keep exist."""
    weights = {name: value.detach().numpy() for name, value in vit.state_dict().items()}

    def linear(name: str, h: np.ndarray) -> np.ndarray:
        return h @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]

    def norm(name: str, h: np.ndarray) -> np.ndarray:
        centred = h - h.mean(-1, keepdims=True)
        return centred / np.sqrt(h.var(-1, keepdims=True) + 1e-5) * weights[f"{name}.weight"] + weights[f"{name}.bias"]

    p, (_, gw) = vit.patch, vit.grid
    pieces = [x[:, (k // gw) * p : (k // gw + 1) * p, (k % gw) * p : (k % gw + 1) * p].ravel() for k in keep]
    h = linear("embedding", np.stack(pieces)) + vit.position.numpy()[keep]
    for i, layer in enumerate(vit.transformer.layers):
        name, heads = f"transformer.layers.{i}", layer.attention.heads
        q, k, v = np.split(linear(f"{name}.attention.qkv", norm(f"{name}.norm1", h)), 3, -1)
        out = []
        for a, b, c in zip(*(np.split(part, heads, -1) for part in (q, k, v)), strict=True):
            score = np.exp(a @ b.T / math.sqrt(a.shape[-1]))
            out.append(score / score.sum(-1, keepdims=True) @ c)
        h = h + linear(f"{name}.attention.out", np.concatenate(out, -1))
        inner = linear(f"{name}.mlp.0", norm(f"{name}.norm2", h))
        h = h + linear(f"{name}.mlp.2", inner * (1 + np.vectorize(math.erf)(inner / math.sqrt(2))) / 2)
    return norm("transformer.norm", h)


@pytest.fixture
def vit() -> ViT:
    module = build(lambda: ViT((3, 8, 8), 16, 3, 2), seeded(0)).double()
    for i, parameter in enumerate(module.parameters()):  # move norms and biases off 1 and 0, so that they are seen
        parameter.data += 0.1 * torch.randn(parameter.shape, generator=seeded(i)).double()
    return module


def test_tokens_of_a_subset_are_attention_over_the_subset_alone(vit: ViT) -> None:
    x, keep = images(2).double(), torch.tensor([[1, 4, 9, 15], [0, 12, 3, 7]])
    tokens = vit.tokens(x, keep)
    for n in range(2):
        by_hand = tokens_by_hand(vit, x[n].numpy(), keep[n].tolist())
        assert np.allclose(tokens[n].detach().numpy(), by_hand, rtol=1e-11, atol=1e-11)  # float64, three layers
    assert not torch.allclose(tokens, select(vit.tokens(x), keep), rtol=1e-2)  # all attended, then selected: told apart


def test_patches_left_out_cannot_be_seen(vit: ViT) -> None:
    x, keep = images(1).double(), torch.tensor([[0, 5, 6]])
    other = x.clone()
    other[:, :, 4:] = 7.0  # the lower half: patches 8 to 15
    assert torch.equal(vit.tokens(x, keep), vit.tokens(other, keep))
    assert not torch.equal(vit.tokens(x), vit.tokens(other))


def test_tokens_follow_the_order_of_the_patches_kept(vit: ViT) -> None:
    x, keep = images(1).double(), torch.tensor([[2, 11, 5, 8]])
    order = torch.tensor([3, 0, 2, 1])
    assert torch.allclose(vit.tokens(x, keep)[:, order], vit.tokens(x, keep[:, order]), rtol=1e-12, atol=1e-12)  # sums
    every = torch.arange(16)[None]
    assert torch.allclose(vit.tokens(x, every), vit.tokens(x), rtol=1e-12, atol=1e-12)  # reordered float64 sums
    assert torch.allclose(vit(x), vit.tokens(x).mean(1), rtol=1e-12)  # features are the mean token


def test_patches_are_a_rearrangement_in_raster_order(vit: ViT) -> None:
    x = torch.arange(192.0).reshape(1, *SHAPE)
    patches = vit.patches(x)
    assert vit.grid == (4, 4) and patches.shape == (1, 16, 12)
    for k in range(16):
        row, column = 2 * (k // 4), 2 * (k % 4)
        assert torch.equal(patches[0, k], x[0, :, row : row + 2, column : column + 2].flatten())


def test_positions_are_sines_and_cosines_of_row_and_column() -> None:
    position = sincos((3, 5), 16)
    assert position.shape == (15, 16)
    for y in range(3):
        for x in range(5):
            f = [10_000 ** (-k / 4) for k in range(4)]
            by_hand = [g(a * b) for a in (y, x) for g in (math.sin, math.cos) for b in f]
            assert np.allclose(position[5 * y + x], by_hand, atol=1e-6)  # float32 holds 1 to 6e-8
    assert torch.equal(build(lambda: ViT((3, 8, 8), 16, 1, 2), seeded(0)).position, sincos((4, 4), 16))


def test_default_patches_make_at_most_eight_a_side() -> None:
    assert [default_patch(s, s) for s in (8, 16, 28, 32, 96)] == [2, 2, 4, 4, 12]
    with pytest.raises(ValueError, match="no square patch tiles 7x11 pixels"):
        default_patch(7, 11)
