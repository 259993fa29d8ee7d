"""The queue of momentum keys, and He et al.'s algorithm 1 by hand."""

from __future__ import annotations

import copy
from functools import partial

import numpy as np
import pytest
import torch
from method_cases import ROUNDING, batches, generator, tiny
from torch import Tensor, nn

from full_models import networks
from full_models.methods import Method, MethodError
from full_models.methods import moco as moco_module
from full_models.methods.queue import KeyQueue
from full_models.methods.target import MovingAverage


def test_the_queue_is_first_in_first_out_and_wraps() -> None:
    queue = networks.build(lambda: KeyQueue(5, 2), generator())
    norms = queue.keys.norm(dim=-1)
    assert torch.allclose(norms, torch.ones(5), atol=1e-6)  # unit keys at the start, to float32's rounding
    places = torch.arange(5)
    expected = [-1] * 5  # which batch a place was filled by
    for batch in range(4):
        keys = torch.tensor([[1.0 + batch, i] for i in range(3)])
        old = queue.keys.clone()
        queue.enqueue(keys)
        filled = [(3 * batch + i) % 5 for i in range(3)]
        for i, place in enumerate(filled):
            expected[place] = batch
            assert torch.allclose(queue.keys[place], keys[i] / keys[i].norm())
        kept = [p for p in places.tolist() if p not in filled]
        assert torch.equal(queue.keys[kept], old[kept])
    assert expected == [3, 3, 2, 2, 3]  # 12 keys: places 0 and 1 hold the last batch's end, 2 and 3 batch 2's end
    assert queue.pointer.item() == 12 % 5
    with pytest.raises(MethodError, match="give queue >= the batch"):
        queue.enqueue(torch.ones(6, 2))


def negatives_of(method: Method, x: Tensor, monkeypatch: pytest.MonkeyPatch, early: bool) -> tuple[Tensor, Tensor]:
    """The keys of a batch and the negatives they are scored with; early: the mutation that enqueues first."""
    seen = {}

    def record(q: Tensor, k: Tensor, *, queue: Tensor, tau: float) -> Tensor:
        seen["k"], seen["queue"] = nn.functional.normalize(k, dim=-1), queue
        return q.sum()

    monkeypatch.setattr(moco_module, "queue_info_nce", record)
    if early:
        method.queue.enqueue(method.target(x))
    method(x, x, generator=generator())
    return seen["k"], seen["queue"]


def test_a_key_never_meets_itself_as_a_negative(monkeypatch: pytest.MonkeyPatch) -> None:
    x = batches(1)[0][0]
    for early in (False, True):
        method = tiny("moco", queue=40)
        k, queue = negatives_of(method, x, monkeypatch, early)
        nearest = (k @ queue.T).max(1).values
        if early:
            assert (nearest > 1 - 1e-9).all()  # its own copy, to rounding
        else:
            assert (nearest < 1 - 1e-3).all()  # 40 random directions in 6 dimensions: none within 2.5 degrees
            assert torch.allclose(method.queue.keys[: len(k)], k, atol=ROUNDING)  # they wait for the next batch


def moco_by_hand(method: Method, pairs: list[tuple[Tensor, Tensor]], m: float, tau: float) -> list[float]:
    """He et al.'s algorithm 1 in its own order: average, keys, logits, step, enqueue. A list is the queue."""
    f = method.branch
    f_k = copy.deepcopy(f)
    unit = partial(nn.functional.normalize, dim=-1)
    queue = list(unit(method.queue.keys))  # drawn in float32, so unit only to that
    losses = []
    for x, x_plus in pairs:
        with torch.no_grad():
            for p_k, p in zip(f_k.parameters(), f.parameters(), strict=True):
                p_k.copy_(m * p_k + (1 - m) * p)
            k = unit(f_k(x_plus))
        q = unit(f(x))
        logits = torch.cat([(q * k).sum(-1, keepdim=True), q @ torch.stack(queue).T], 1) / tau
        loss = nn.functional.cross_entropy(logits, torch.zeros(len(x), dtype=torch.long))
        for p, g in zip(f.parameters(), torch.autograd.grad(loss, list(f.parameters())), strict=True):
            p.data.sub_(0.1 * g)
        queue = queue[len(k) :] + list(k)
        losses.append(loss.item())
    return losses


def moco_losses(pairs: list[tuple[Tensor, Tensor]]) -> list[float]:
    method = tiny("moco", queue=30, ema=0.7, tau=0.3)
    optimiser = torch.optim.SGD(method.parameter_groups(0.1, 0.0), 0.1)
    losses = []
    for k, (x, x_plus) in enumerate(pairs):
        optimiser.zero_grad()
        loss = method(x, x_plus, generator=generator())
        loss.backward()
        optimiser.step()
        method.after_step(k, len(pairs))
        losses.append(loss.item())
    return losses


def test_momentum_contrast_is_algorithm_1(monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = batches(5)
    by_hand = moco_by_hand(tiny("moco", queue=30), pairs, m=0.7, tau=0.3)
    np.testing.assert_allclose(moco_losses(pairs), by_hand, rtol=ROUNDING)
    monkeypatch.setattr(MovingAverage, "follow", lambda self, online, step, steps: None)
    assert abs(moco_losses(pairs)[2] - by_hand[2]) > 1e-4  # a target that stays behind is seen
