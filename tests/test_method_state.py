"""State of methods: it resumes to the same losses, and looking changes nothing."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from method_cases import NAMES, TRAINED, loss_of, small, step, views
from torch import Tensor

from full_models.methods import Method


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
