"""Views: every augmentation is drawn from its generator alone, an image at a time, and bad input is one sentence."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from view_cases import images, seeded

from full_models.views import AUGMENTATIONS, augmentation
from full_models.views.colour import jitter
from full_models.views.geometry import Crop, crop, shift
from full_models.views.masks import block_masks, random_masks
from full_models.views.sequence import LatentVideo, latents

torch.set_num_threads(1)


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 32, 32)], ids=["grey", "colour"])
@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_a_view_is_drawn_from_the_generator_alone(name: str, shape: tuple[int, int, int]) -> None:
    f, x = augmentation(name, shape), images(16, *shape)
    kept, before = x.clone(), torch.get_rng_state()
    y = f(x, seeded(3))
    assert y.shape == x.shape and y.dtype == x.dtype and torch.isfinite(y).all()
    assert torch.equal(y, f(x, seeded(3)))
    assert torch.equal(x, kept) and torch.equal(torch.get_rng_state(), before)
    assert torch.equal(y, f(x, seeded(4))) == (name == "none")
    if name != "noise":
        assert y.min() >= 0 and y.max() <= 1
    assert f(x.double(), seeded(3)).dtype == torch.float64


def test_two_views_from_one_generator_differ() -> None:
    f, x, generator = augmentation("simclr", (3, 32, 32)), images(8, 3, 32, 32), seeded()
    first, second = f(x, generator), f(x, generator)
    assert all(not torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_images_of_a_batch_have_draws_of_their_own() -> None:
    x = images(1, 3, 32, 32).expand(64, -1, -1, -1)
    views = augmentation("simclr", (3, 32, 32))(x, seeded())
    assert len({view.numpy().tobytes() for view in views}) == 64


@pytest.mark.parametrize(
    ("operation", "parameters"),
    [
        (crop, lambda n: (Crop(0.2).boxes(torch.zeros(n, 3, 12, 12), seeded()),)),
        (shift, lambda n: (torch.randint(-3, 4, (n, 2), generator=seeded()),)),
        (lambda x, f, t: jitter(x, f.mT, t), lambda n: (0.6 + 0.8 * torch.rand(n, 3, generator=seeded()), images(n))),
    ],
    ids=["crop", "shift", "jitter"],
)
def test_a_batch_is_its_images_one_by_one(operation: Callable[..., Tensor], parameters) -> None:
    x, drawn = images(9, 3, 12, 12).double(), parameters(9)
    alone = torch.cat([operation(x[i : i + 1], *(p[i : i + 1] for p in drawn)) for i in range(9)])
    together = operation(x, *drawn)
    assert torch.allclose(together, alone, rtol=0, atol=1e-6)  # parameters are float32
    assert not torch.allclose(together, operation(x, *(p.roll(1, 0) for p in drawn)), atol=1e-2)  # others' parameters


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: augmentation("rotate", (1, 8, 8)), "augmentation 'rotate' is not one of none, noise, mask"),
        (lambda: augmentation("crop", (1, 8, 8), 1.5), "strength 1.5 of crop: give a number between 0 and 1"),
        (lambda: augmentation("noise", (1, 8, 8), float("nan")), "strength nan of noise"),
        (lambda: augmentation("simclr", (4, 8, 8)), "images have 4 channels: use crop, noise or shift"),
        (lambda: random_masks(2, (2, 2), seeded(), ratio=0.9), "hides 4 of 4 patches: keep at least one"),
        (lambda: random_masks(2, (2, 2), seeded(), ratio=0.0), "hides 0 of 4 patches: keep at least one"),
        (
            lambda: block_masks(2, (4, 4), seeded(), target_scale=(1, 1), target_aspect=(1, 1)),
            "leave fewer than 1 of 4x4 to a context",
        ),
        (lambda: latents(2, 3, (1.2,), seeded()), "give n, T >= 1 and correlations between -1 and 1"),
        (lambda: LatentVideo((1, 2, 2), rho=(0.5,) * 4).patterns(), "4 latents for 2x2 pixels: give at most 3"),
    ],
)
def test_what_cannot_be_drawn_is_one_sentence(make: Callable[[], object], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence) as caught:
        make()
    assert "\n" not in str(caught.value)
