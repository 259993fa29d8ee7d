"""What methods cannot be built of or fed is one sentence with the remedy."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from method_cases import SHAPE, generator, small, views

from full_models.methods import MethodError, assemble, build


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: build("simclrr", SHAPE, generator=generator()), "method 'simclrr' is not known: use one of simclr"),
        (lambda: build("simclr", SHAPE, generator=generator(), ta=1), "simclr has no option 'ta': it takes"),
        (lambda: build("random", SHAPE, generator=generator(), dim=3), "random has no option 'dim': it takes none"),
        (lambda: build("mae", SHAPE, generator=generator(), dim=3), "mae has no option 'dim'"),
        (lambda: build("mae", SHAPE, encoder="mlp", generator=generator()), "has no patches to mask: use encoder 'vit"),
        (lambda: build("mae", SHAPE, generator=generator(), ratio=1.0), "a ratio of 1.0 hides"),
        (lambda: build("v-jepa", SHAPE, generator=generator(), masks="all"), "masks 'all' is not one of tubes"),
        (lambda: build("v-jepa", SHAPE, generator=generator(), ahead=8), "ahead = 8 of 8 frames: give"),
        (lambda: build("i-jepa", SHAPE, generator=generator(), blocks=0), "blocks = 0: give"),
        (lambda: build("i-jepa", SHAPE, generator=generator(), predictor_depth=0), "depth of the predictor = 0: give"),
        (lambda: build("i-jepa", SHAPE, generator=generator(), predictor_heads=0), "heads = 0 of the predictor: give"),
        (
            lambda: build("mae", SHAPE, generator=generator(), decoder_depth=10**9),
            "= 1000000000: give 1 to 1000 layers",
        ),
        (lambda: build("simclr", SHAPE, generator=generator(), layers=10**9), "layers = 1000000000: give 1 to 1000"),
        (
            lambda: build("moco", SHAPE, generator=generator(), queue=2**63),
            "queue = 9223372036854775808: give a smaller",
        ),
        (lambda: build("simclr", SHAPE, generator=generator(), tau=10**400), "tau = 10+: give a smaller number"),
        (lambda: build("simclr", SHAPE, encoder="vgg", generator=generator()), "encoder 'vgg' is not one of"),
        (lambda: assemble("simclr", torch.nn.Flatten(), generator()), "Flatten has no attribute features: give"),
        (
            lambda: small("simclr")(torch.rand(3, *SHAPE), generator=generator()),
            r"shape \(3, 1, 8, 8\): give two views",
        ),
        (lambda: small("mae")(*views(small("simclr")), generator=generator()), "give one batch of images"),
        (lambda: small("v-jepa")(torch.rand(2, *SHAPE), generator=generator()), "give one batch of clips"),
        (lambda: small("v-jepa")(torch.rand(2, 9, *SHAPE), generator=generator()), r"give \(N, 3, c, h, w\)"),
        (lambda: small("supervised")(*views(small("simclr")), generator=generator()), "supervised needs labels: give"),
    ],
)
def test_bad_input_gets_one_sentence(call: Callable[[], object], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_errors_of_methods_are_value_errors() -> None:
    assert issubclass(MethodError, ValueError)


@pytest.mark.parametrize(
    ("name", "options", "sentence"),
    [
        ("byol", {"predictor": "cubic"}, "predictor 'cubic' is not one of none, linear"),
        ("byol", {"predictor_hidden": 0}, "predictor_hidden = 0: give"),
        ("byol", {"predictor_rate": 0.0}, "predictor_rate = 0.0: give"),
        ("byol", {"schedule": "step"}, "schedule 'step' is not one of constant"),
        ("byol", {"ema": 1.5}, "momentum = 1.5: give a number in"),
        ("simclr", {"projector": "deep"}, "projector 'deep' is not one of none"),
        ("simclr", {"dim": 0}, "dim = 0, hidden"),
        ("moco", {"queue": 0}, "queue = 0: give"),
        ("directpred", {"rho": 1.0}, "rho = 1.0: give"),
        ("directpred", {"freq": 0}, "freq = 0: give"),
        ("directpred", {"convention": "mine"}, "convention 'mine' is not known: use"),
        ("directset", {"norm": "l1"}, "norm 'l1' is not one of spectral"),
        ("directset", {"alpha": 0.0}, "alpha = 0.0: give"),
        ("lejepa", {"directions": 0}, "directions = 0: give"),
        ("supervised", {"classes": 0}, "classes = 0: give"),
        ("directclr", {"dim": 17}, "give a part of the 16 features"),
    ],
)
def test_values_that_make_no_sense_get_one_sentence(name: str, options: dict, sentence: str) -> None:
    with pytest.raises(MethodError, match=sentence) as caught:
        build(name, SHAPE, encoder="linear", width=16, generator=generator(), **options)
    assert "\n" not in str(caught.value)
