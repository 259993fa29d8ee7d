"""What the registry says of methods: their options, which reach the loss, their parents, matrices and rates."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from method_cases import NAMES, SHAPE, generator, loss_of, small, views

from full_models.losses import matrix_ssl
from full_models.methods import METHODS, build


def test_options_are_those_that_build_takes() -> None:
    for name, spec in METHODS.items():
        options = spec.options()
        encoder = "linear" if spec.encoder == "mlp" else spec.encoder
        build(name, SHAPE, encoder=encoder, width=32, generator=generator(), **options)
        assert spec.kind in ("pair", "image", "frames") and spec.says and spec.paper


def test_collapsing_methods_differ_from_a_parent() -> None:
    """An ablation is its parent with options changed, and the change changes the loss."""
    parents = {
        "align-only": "align-uniform",
        "simsiam-no-predictor": "simsiam",
        "byol-no-predictor": "byol",
        "vicreg-no-variance": "vicreg",
        "vicreg-no-covariance": "vicreg",
        "barlow-twins-no-redundancy": "barlow-twins",
    }
    for name, parent in parents.items():
        assert METHODS[name].collapses and not METHODS[parent].collapses
        a, b = small(name), small(parent)
        assert loss_of(a, views(a)).item() != loss_of(b, views(b)).item()


@pytest.mark.parametrize("convention", ["paper", "reference"])
def test_matrix_ssl_without_a_target_would_prefer_rank_one(convention: str) -> None:
    """Why it has a stop-gradient here: with both sides free, one direction is worth less than all d alike."""
    d = 8
    directions = torch.eye(d, dtype=torch.float64)
    isotropic, one = (torch.cat([z, -z]) for z in (directions, directions[:1].expand(d, d)))
    value = partial(matrix_ssl, convention=convention)
    assert value(one, one) < value(isotropic, isotropic) - 0.1  # the values are 0.19 and 0.24 apart
    assert small("matrix-ssl").stop


def test_predictor_matrices_are_shown_where_there_are_any() -> None:
    shown = {name for name in NAMES if small(name).predictor_matrix() is not None}
    assert shown == {"directpred", "directset", "optimal-predictor"}
    for name, options in {"byol": {"predictor": "linear"}, "optimal-predictor": {}}.items():
        method = build(name, SHAPE, encoder="linear", width=16, generator=generator(), dim=6, **options)
        P = method.predictor_matrix()
        z = torch.rand(5, 6, generator=generator())
        assert P is not None and not P.requires_grad
        assert torch.equal(z @ P.T, method.predictor(z)) and not torch.allclose(z @ P, method.predictor(z))  # p = P z


OTHER = {  # values that are not the default, each of which must reach the loss
    "simclr": {"tau": 0.3},
    "info-nce": {"tau": 0.5, "critic": "dot"},
    "nce": {"tau": 0.3, "critic": "dot"},
    "moco": {"tau": 0.3, "queue": 30},
    "dcl": {"tau": 0.3},
    "align-uniform": {"align": 2.0, "uniform": 2.0, "alpha": 1.0, "t": 1.0},
    "spectral": {"convention": "reference"},
    "vicreg": {"lam": 5.0, "mu": 5.0, "nu": 5.0, "convention": "paper"},
    "barlow-twins": {"lam": 0.1, "convention": "paper"},
    "lejepa": {"lam": 0.1, "directions": 8, "knots": 9, "convention": "paper"},
    "directclr": {"dim": 5, "tau": 0.3},
    "byol": {"unit": False, "predictor": "linear", "predictor_hidden": 3},
    "simsiam": {"unit": False, "predictor": "linear", "predictor_hidden": 3},
    "matrix-ssl": {"gamma": 0.5, "lam": 0.7, "mu": 0.7, "convention": "paper", "predictor": "linear"},
    "i-jepa": {"blocks": 2, "convention": "paper", "beta": 0.1, "predictor_width": 16, "predictor_heads": 2},
    "v-jepa": {"blocks": 2, "masks": "future", "p": 2.0, "reg": 1.0, "convention": "paper"},
    "mae": {"ratio": 0.5, "unit_patches": False, "decoder_width": 16, "decoder_heads": 2},
}


@pytest.mark.parametrize(("name", "option"), [(name, option) for name in OTHER for option in OTHER[name]])
def test_every_option_reaches_the_loss(name: str, option: str) -> None:
    default, other = small(name), small(name, **{option: OTHER[name][option]})
    x = views(default)
    assert loss_of(default, x).item() == loss_of(small(name), x).item() != loss_of(other, x).item()


def test_parameter_groups_say_rates_and_decay() -> None:
    method = build("simsiam", SHAPE, generator=generator(), predictor_rate=10.0)
    groups = method.parameter_groups(0.1, 0.5)
    names = {id(p): n for n, p in method.named_parameters()}
    for group in groups:
        for p in group["params"]:
            of_predictor = names[id(p)].startswith("predictor.")
            assert group["lr"] == (1.0 if of_predictor else 0.1)  # 10.0 * 0.1 is 1.0 in floating point
            assert group["fixed_lr"] == of_predictor
            assert group["weight_decay"] == (0.5 if p.ndim >= 2 else 0.0)
    assert len(groups) == 4
