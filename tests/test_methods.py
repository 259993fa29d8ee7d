"""Every registered method by the same questions; the parts have their own in test_method_parts.py."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
import torch
from method_cases import SHAPE, generator
from torch import Tensor
from torch.func import functional_call, grad, stack_module_state, vmap

from full_models.losses import matrix_ssl, nt_xent
from full_models.methods import METHODS, Method, MethodError, assemble, build
from full_models.methods import joint as joint_module

FRAMES = 3
NAMES = list(METHODS)
TRAINED = [name for name in NAMES if name != "random"]
SMALL = {  # a method is asked questions at the smallest size that it has all its parts at
    "i-jepa": {"predictor_depth": 1},
    "v-jepa": {"predictor_depth": 1, "frames": FRAMES, "blocks": 1, "ahead": 1},
    "mae": {"decoder_depth": 1},
    "directclr": {"dim": 6},
    "moco": {"queue": 20, "dim": 6, "hidden": 12},
    "supervised": {"classes": 4},
    "random": {},
}
TARGETS = [name for name in NAMES if hasattr(build(name, SHAPE, generator=torch.Generator()), "target")]
AVERAGED = [name for name in TARGETS if build(name, SHAPE, generator=torch.Generator()).target is not None]


def small(name: str, seed: int = 0, **others: object) -> Method:
    encoder = "linear" if METHODS[name].encoder == "mlp" else METHODS[name].encoder
    options = {**SMALL.get(name, {"dim": 6, "hidden": 12}), **others}
    return build(name, SHAPE, encoder=encoder, width=16, generator=generator(seed), **options)


def views(method: Method, n: int = 12, seed: int = 1) -> tuple[Tensor, ...]:
    """What the method is fed: smooth random images, the second view with noise."""
    g = generator(seed)
    if method.kind == "frames":
        return (torch.rand(n, FRAMES, *SHAPE, generator=g),)
    x = torch.rand(n, *SHAPE, generator=g)
    return (x,) if method.kind == "image" else (x, x + 0.1 * torch.randn(x.shape, generator=g))


def loss_of(method: Method, x: tuple[Tensor, ...], seed: int = 2) -> Tensor:
    labels = {"labels": torch.arange(len(x[0])) % 4} if method.needs_labels else {}
    return method(*x, generator=generator(seed), **labels)


def step(method: Method, optimiser: torch.optim.Optimizer, x: tuple[Tensor, ...], k: int, steps: int) -> float:
    optimiser.zero_grad()
    loss = loss_of(method, x, seed=k)
    loss.backward()
    optimiser.step()
    method.after_step(k, steps)
    return loss.item()


def learnable(method: Method) -> dict[str, torch.nn.Parameter]:
    return {name: p for name, p in method.named_parameters() if p.requires_grad}


# ---- one loss, and where its gradient goes


def unreached(method: Method) -> list[str]:
    """Learnable matrices and kernels that the loss does not move. (A bias may rightly stand still: where a loss is
    centred or a batch norm follows, the loss does not change with it.)"""
    loss_of(method, views(method)).backward()
    return [
        name
        for name, p in learnable(method).items()
        if p.ndim >= 2 and (p.grad is None or not torch.isfinite(p.grad).all() or not p.grad.abs().sum() > 0)
    ]


@pytest.mark.parametrize("name", NAMES)
def test_one_finite_loss_whose_gradient_reaches_all_that_learns(name: str) -> None:
    method = small(name)
    assert method.kind == METHODS[name].kind
    loss = loss_of(method, views(method))
    assert loss.shape == () and torch.isfinite(loss) and loss.requires_grad == method.trains
    if method.trains:
        assert unreached(method) == []
    held = {id(p) for group in method.parameter_groups(0.1, 0.2) for p in group["params"]}
    assert held == {id(p) for p in learnable(method).values()}  # the optimiser moves what learns, and no more
    for target_name in [n for n, p in method.named_parameters() if not p.requires_grad]:
        assert method.get_parameter(target_name).grad is None


def test_an_embedding_that_is_cut_off_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    method = small("vicreg")
    whole = joint_module.whole_batch
    monkeypatch.setattr(
        joint_module,
        "whole_batch",
        lambda loss, z, z_plus, **k: whole(loss, z.detach(), z_plus.detach(), **k) + method.projector[0].weight.sum(),
    )
    assert "encoder.layers.0.weight" in unreached(method)


@pytest.mark.parametrize("name", AVERAGED)
def test_the_optimiser_leaves_the_target_to_its_average(name: str) -> None:
    method = small(name)
    before = [p.clone() for p in method.target.parameters()]
    optimiser = torch.optim.SGD(method.parameter_groups(0.1, 0.1), 0.1)
    loss_of(method, views(method)).backward()
    optimiser.step()
    assert all(torch.equal(a, b) for a, b in zip(before, method.target.parameters(), strict=True))
    method.after_step(0, 10)
    assert not all(torch.equal(a, b) for a, b in zip(before, method.target.parameters(), strict=True))


# ---- learning

# A queue fills with harder keys than the random ones it starts with, so MoCo's loss rises at first.
DESCENDS = [name for name in TRAINED if name != "moco"]


def descent(name: str, lr: float) -> tuple[float, float]:
    """Mean loss of the first and of the last 5 of 40 steps of AdamW on one batch, masks and directions new each step."""
    method = small(name)
    optimiser = torch.optim.AdamW(method.parameter_groups(lr, 0.0), lr)
    x = views(method, 16)
    path = [step(method, optimiser, x, k, 40) for k in range(40)]
    return sum(path[:5]) / 5, sum(path[-5:]) / 5


@pytest.mark.parametrize("name", DESCENDS)
def test_the_loss_falls_on_one_batch(name: str) -> None:
    first, last = descent(name, 1e-2)
    assert last < first


def test_a_loss_that_is_climbed_is_seen() -> None:
    method = small("simclr")
    optimiser = torch.optim.AdamW(method.parameter_groups(1e-2, 0.0), 1e-2, maximize=True)
    path = [step(method, optimiser, views(method, 16), k, 40) for k in range(40)]
    assert sum(path[-5:]) > sum(path[:5])


# ---- state


def after(method: Method, k: int) -> list[float]:
    """Losses of the next two steps, from step k on."""
    optimiser = torch.optim.SGD(method.parameter_groups(0.05, 0.1), 0.05)
    return [step(method, optimiser, views(method, seed=10 + j), j, 20) for j in range(k, k + 2)]


@pytest.mark.parametrize("name", TRAINED)
def test_state_dict_resumes_to_the_same_losses(name: str) -> None:
    method = small(name)
    optimiser = torch.optim.SGD(method.parameter_groups(0.05, 0.1), 0.05)
    for k in range(3):
        step(method, optimiser, views(method, seed=k), k, 20)
    state = {key: value.clone() for key, value in method.state_dict().items()}
    other = small(name, seed=7)
    other.load_state_dict(state)
    expected = after(method, 3)
    assert after(other, 3) == expected  # to the last bit
    other = small(name, seed=7)
    assert after(other, 3) != expected  # without the state it is another network


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("moco", "queue.keys"),
        ("moco", "queue.pointer"),
        ("byol", "target."),
        ("i-jepa", "target."),
        ("directpred", "predictor.F"),
        ("directpred", "predictor.P"),
        ("directset", "predictor.seen"),
        ("info-nce", "criterion.M"),
    ],
)
def test_a_part_missing_from_the_state_is_seen(name: str, part: str) -> None:
    method = small(name)
    optimiser = torch.optim.SGD(method.parameter_groups(0.05, 0.1), 0.05)
    for k in range(3):
        step(method, optimiser, views(method, seed=k), k, 20)
    state = method.state_dict()
    assert any(key.startswith(part) for key in state)
    other = small(name, seed=7)
    partial_state = {key: value.clone() for key, value in state.items() if not key.startswith(part)}
    other.load_state_dict(partial_state, strict=False)
    first, second = after(other, 3), after(method, 3)
    assert first != second


def fingerprint(method: Method) -> dict[str, Tensor]:
    return {key: value.clone() for key, value in method.state_dict().items()}


def changed(method: Method, act: Callable[[], object]) -> list[str]:
    before = fingerprint(method)
    act()
    return [key for key, value in method.state_dict().items() if not torch.equal(value, before[key])]


@pytest.mark.parametrize("name", NAMES)
def test_looking_changes_nothing(name: str) -> None:
    method = small(name)
    x = views(method)
    for mode in (True, False):
        method.train(mode)
        assert changed(method, lambda: (method.features(x[0]), method.embed(x[0]))) == []
        assert all(part.training == mode for part in method.modules())
    method.eval()
    assert changed(method, lambda: loss_of(method, x)) == []
    assert method.features(x[0]).shape == (12, 16) and not method.embed(x[0]).requires_grad


def test_a_training_loss_does_change_state() -> None:
    for name, key in {"moco": "queue.keys", "directpred": "predictor.F", "simclr": "projector.1.running_mean"}.items():
        method = small(name)
        assert key in changed(method, lambda method=method: loss_of(method, views(method)))


# ---- determinism and precision


@pytest.mark.parametrize("name", NAMES)
def test_every_draw_comes_from_the_generator(name: str) -> None:
    world = torch.random.get_rng_state()
    losses = []
    for seed in (3, 3, 4):
        torch.manual_seed(len(losses))
        method = small(name, seed)
        before = torch.random.get_rng_state()
        losses.append(loss_of(method, views(method)).item())
        method.after_step(0, 5)
        assert torch.equal(before, torch.random.get_rng_state())
    torch.random.set_rng_state(world)
    assert losses[0] == losses[1] != losses[2]


@pytest.mark.parametrize("name", NAMES)
def test_half_precision_networks_have_full_precision_losses(name: str) -> None:
    method = small(name)
    with torch.autocast("cpu", torch.bfloat16):
        loss = loss_of(method, views(method))
        method.after_step(0, 5)
    exact = loss_of(small(name), views(method))
    assert loss.dtype == torch.float32
    # bfloat16 keeps 8 bits: 2^-8 an operation, some ten operations in a row, a temperature of 0.1: 2^-8 √10 / 0.1 = 0.12
    assert abs(loss.item() - exact.item()) < 0.12 * max(1.0, abs(exact.item()))


def test_a_loss_in_half_precision_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    method = build("simclr", SHAPE, encoder="linear", width=16, generator=generator(), tau=0.005)
    x = views(method)
    with torch.autocast("cpu", torch.bfloat16):
        z, z_plus = (method.branch(view).float() for view in x)
        loss = loss_of(method, x).item()
        monkeypatch.setattr(joint_module, "whole_batch", lambda criterion, *z, **k: criterion(*z, **k))
        inside = loss_of(method, x).item()
    exact = nt_xent(z, z_plus, tau=0.005).item()
    assert loss == exact and abs(inside - exact) > 1e-2  # scores of 200 in 8 bits are off by up to 1


# ---- many networks at once


def stacked_gradients(methods: list[Method], x: tuple[Tensor, ...]) -> dict[str, Tensor]:
    """Gradients (R, …) of R methods' losses in one vmapped backward, all fed the same views and draws."""
    parameters, buffers = stack_module_state(methods)
    moving = {name: parameters.pop(name) for name in learnable(methods[0])}
    labels = {"labels": torch.arange(len(x[0])) % 4} if methods[0].needs_labels else {}

    def loss(moving: dict[str, Tensor], fixed: dict[str, Tensor], buffers: dict[str, Tensor]) -> Tensor:
        keywords = {"generator": generator(2), **labels}
        return functional_call(methods[0], {**moving, **fixed, **buffers}, x, keywords)

    return vmap(grad(loss), randomness="same")(moving, parameters, buffers)


@pytest.mark.filterwarnings("ignore:There is a performance drop")
@pytest.mark.parametrize("name", TRAINED)
def test_a_stack_of_networks_has_each_network_s_own_gradient(name: str) -> None:
    methods = [small(name, seed).double() for seed in (0, 1)]
    x = tuple(view.double() for view in views(methods[0]))
    stacked = stacked_gradients(methods, x)
    for i, method in enumerate(small(name, seed).double() for seed in (0, 1)):
        loss_of(method, x).backward()
        for key, p in learnable(method).items():
            # float64, some thousand operations; a gradient that is 0 by an invariance is a sum that cancels
            assert torch.allclose(stacked[key][i], p.grad, rtol=1e-9, atol=1e-11), key
    matrix = next(gradient for gradient in stacked.values() if gradient.ndim > 2)
    assert not torch.allclose(matrix[0], matrix[1])  # two networks, two gradients


# ---- what the registry says


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
            assert group["lr"] == pytest.approx(1.0 if of_predictor else 0.1)
            assert group["fixed_lr"] == of_predictor
            assert group["weight_decay"] == (0.5 if p.ndim >= 2 else 0.0)
    assert len(groups) == 4


# ---- bad input: one sentence with the remedy


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
        (lambda: build("i-jepa", SHAPE, generator=generator(), predictor_depth=0), "depth = 0, heads = 1"),
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
