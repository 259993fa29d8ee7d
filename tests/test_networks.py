"""Encoders: shapes, starts from one generator, laws of the start, costs, and bad input."""

from __future__ import annotations

import math

import pytest
import torch
from network_cases import SHAPE, images, seeded
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from full_models.networks import ENCODERS, build, encoder
from full_models.networks.linear import Linear
from full_models.networks.resnet import Block, ResNet
from full_models.networks.vit import Transformer, ViT

torch.set_num_threads(1)
ALL = pytest.mark.parametrize("name", ENCODERS)
NARROW = {"resnet18": 8, "vit-tiny": 24}  # widths that keep the big ones quick


def small(name: str, seed: int = 0, shape: tuple[int, int, int] = SHAPE) -> nn.Module:
    return encoder(name, shape, width=NARROW.get(name), generator=seeded(seed))


def equal(a: nn.Module, b: nn.Module) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True))


@ALL
@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 8, 8), (1, 28, 28)])
def test_embeds_a_batch_into_its_features(name: str, shape: tuple[int, int, int]) -> None:
    module = small(name, shape=shape)
    z = module(images(3, shape=shape))
    assert z.shape == (3, module.features)
    assert torch.isfinite(z).all()
    z.square().sum().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in module.parameters())


@ALL
def test_starts_from_the_generator_and_from_nothing_else(name: str) -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first = small(name)
    assert torch.equal(torch.get_rng_state(), before)  # the global generator was not advanced
    torch.manual_seed(6)
    assert equal(first, small(name))
    assert not equal(first, small(name, seed=1))
    assert all(torch.isfinite(value).all() for value in first.state_dict().values())


@ALL
def test_evaluates_a_batch_as_its_images_one_by_one(name: str) -> None:
    module, x = small(name).double().eval(), images(4).double()
    alone = torch.cat([module(one[None]) for one in x])
    assert torch.allclose(module(x), alone, rtol=1e-12, atol=1e-12)  # float64, a few hundred roundings


def test_a_batch_in_training_mode_is_not_its_images_one_by_one() -> None:
    module, x = small("resnet8").double().train(), images(4).double()
    alone = torch.cat([module(x[2 * i : 2 * i + 2]) for i in range(2)])
    assert not torch.allclose(module(x), alone, rtol=1e-2)  # BatchNorm couples images: the check above can fail


def test_linear_encoders_are_products_of_their_matrices() -> None:
    x = images(5).double()
    for depth in (1, 3):
        module = build(lambda depth=depth: Linear(SHAPE, 7, depth), seeded(0)).double()
        W = torch.linalg.multi_dot([m.weight for m in reversed(module.layers)] + [torch.eye(192).double()])
        assert torch.allclose(module(x), x.flatten(1) @ W.mT, rtol=1e-12, atol=1e-12)  # float64 rounding


def excess(sample: torch.Tensor, second: float, fourth: float) -> float:
    """Distance of the mean square from E w² = second, in its standard errors √((E w⁴ - (E w²)²)/n)."""
    return abs(sample.square().mean().item() - second) / math.sqrt((fourth - second**2) / sample.numel())


def test_weights_have_the_stated_variance() -> None:
    linear = build(lambda: Linear((1, 32, 32), 256), seeded(0)).layers[0].weight
    conv = build(lambda: nn.Conv2d(32, 64, 3), seeded(0)).weight
    uniform = build(lambda: nn.Linear(256, 512), seeded(0)).weight
    xavier = build(lambda: ViT((3, 8, 8), 96, 1, 1), seeded(0)).transformer.layers[0].mlp[0].weight
    v, w = 1 / 1024, 2 / (64 * 9)  # Gaussian: E w⁴ = 3 v²; uniform on ±b: E w² = b²/3, E w⁴ = b⁴/5
    b, c = 1 / 16, math.sqrt(6 / (96 + 384))
    assert excess(linear, v, 3 * v**2) < 4  # standard errors, n = 262,144
    assert excess(conv, w, 3 * w**2) < 4  # standard errors, n = 18,432
    assert excess(uniform, b**2 / 3, b**4 / 5) < 4 and uniform.abs().max() <= b  # standard errors, n = 131,072
    assert excess(xavier, c**2 / 3, c**4 / 5) < 4 and xavier.abs().max() <= c  # standard errors, n = 36,864
    assert excess(conv, 2 / (32 * 9), 3 * (2 / (32 * 9)) ** 2) > 4  # He's law by fan_in instead is told apart


def test_a_start_leaves_nothing_unset() -> None:
    norm = build(lambda: nn.BatchNorm2d(4), seeded(0))
    assert torch.equal(norm.running_var, torch.ones(4)) and torch.equal(norm.weight, torch.ones(4))

    class Own(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.ones(3))

    with pytest.raises(TypeError, match=r"Own has parameters of its own: give it a method start\(generator\)"):
        build(lambda: nn.Sequential(nn.Linear(2, 2), Own()), seeded(0))


def test_parameters_are_as_many_as_the_architectures_say() -> None:
    def count(module: nn.Module) -> int:
        return sum(p.numel() for p in module.parameters())

    def residual(c: int, width: int, blocks: tuple[int, ...]) -> int:
        total, inner = 9 * c * width + 2 * width, width
        for stage, repeats in enumerate(blocks):
            for outer in [width * 2**stage] * repeats:
                total += 9 * inner * outer + 9 * outer**2 + 4 * outer  # two convolutions, two norms
                total += inner * outer + 2 * outer if inner != outer else 0  # the projection and its norm
                inner = outer
        return total

    resnet18 = encoder("resnet18", (3, 32, 32), generator=seeded(0))
    assert count(resnet18) == residual(3, 64, (2, 2, 2, 2)) == 11_173_962 - 5_130  # published with its 10-way head
    assert count(encoder("resnet8", (3, 32, 32), generator=seeded(0))) == residual(3, 16, (1, 1, 1))
    d, depth, patch_dim = 192, 12, 48
    tiny = depth * (12 * d**2 + 13 * d) + 2 * d + patch_dim * d + d  # qkv, out, MLP, two norms; last norm; embedding
    assert count(encoder("vit-tiny", (3, 32, 32), generator=seeded(0))) == tiny


def test_resnet18_costs_3_3_gflop_an_image_forward_and_backward() -> None:
    module = encoder("resnet18", (3, 32, 32), generator=seeded(0))
    with FlopCounterMode(display=False) as counter:
        module(images(1, shape=(3, 32, 32)).expand(2, -1, -1, -1)).sum().backward()
    stem = 2 * 32**2 * 9 * 3 * 64
    forward = stem + 4 * 2 * 32**2 * 9 * 64**2  # a multiplication and an addition each; the first stage
    for width, side in ((128, 16), (256, 8), (512, 4)):
        inner = width // 2
        forward += 2 * side**2 * (9 * inner * width + 3 * 9 * width**2 + inner * width)
    backward = 2 * forward - stem  # gradients of weights and of inputs, but not of the images
    assert counter.get_total_flops() == 2 * (forward + backward)
    assert forward + backward == 3_328_966_656


def test_a_residual_block_is_its_shortcut_where_the_residual_is_zero() -> None:
    block, x = build(lambda: Block(4, 4, 1), seeded(0)).eval(), torch.randn(2, 4, 6, 6, generator=seeded(1))
    assert not torch.equal(block(x), x.relu())
    nn.init.zeros_(block.norm2.weight)
    assert torch.equal(block(x), x.relu())


def test_resnet_halves_the_side_and_doubles_the_width_at_each_stage() -> None:
    module = build(lambda: ResNet(3, 4, (2, 2, 2, 2)), seeded(0))
    h, sizes = module.stem(images(2, shape=(3, 32, 32))), []
    for block in module.blocks:
        h = block(h)
        sizes.append(tuple(h.shape[1:]))
    assert sizes == [s for s in [(4, 32, 32), (8, 16, 16), (16, 8, 8), (32, 4, 4)] for _ in range(2)]


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda g: encoder("resnet50", SHAPE, generator=g), "encoder 'resnet50' is not one of linear, deep-linear"),
        (lambda g: encoder("mlp", (8, 8), generator=g), r"shape \(8, 8\): give \(channels, height, width\)"),
        (lambda g: encoder("mlp", SHAPE, width=0, generator=g), "a width of 0 is no width"),
        (lambda g: encoder("vit-micro", SHAPE, width=6, generator=g), "6 has no two-dimensional sine-cosine"),
        (lambda g: encoder("vit-tiny", SHAPE, width=64, generator=g), "64 does not divide among 3 heads"),
        (lambda g: build(lambda: ViT(SHAPE, 16, 1, 1, patch=3), g), "patches of 3 do not tile 8x8 pixels"),
        (lambda g: build(lambda: Transformer(10, 1, 4), g), "10 does not divide among 4 heads: give a multiple of 4"),
    ],
)
def test_what_cannot_be_built_is_one_sentence(make, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence) as caught:
        make(seeded(0))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["resnet18", "vit-tiny"])
def test_networks_that_no_memory_holds_are_refused_before_anything_is_drawn(name: str) -> None:
    """Each layer fits where the system gives more than it has, and their sum does not: it ended the process, by its number 9."""
    generator = seeded(0)
    with pytest.raises(MemoryError, match=r"parameters need \d+\.\d GiB, and cpu has"):
        encoder(name, (3, 32, 32), width=3 * 2**18, generator=generator)  # over 2⁴³ numbers, 32 TiB
    assert torch.equal(generator.get_state(), seeded(0).get_state())
