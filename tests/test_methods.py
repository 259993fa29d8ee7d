"""Every registered method by the same questions: one loss, where its gradient goes, its draws, its precision."""

from __future__ import annotations

import pytest
import torch
from method_cases import NAMES, SHAPE, TRAINED, generator, learnable, loss_of, small, step, views
from torch import Tensor
from torch.func import functional_call, grad, stack_module_state, vmap

from full_models.losses import nt_xent
from full_models.methods import METHODS, Method, build
from full_models.methods import joint as joint_module

TARGETS = [name for name in NAMES if hasattr(build(name, SHAPE, generator=torch.Generator()), "target")]
AVERAGED = [name for name in TARGETS if build(name, SHAPE, generator=torch.Generator()).target is not None]


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
