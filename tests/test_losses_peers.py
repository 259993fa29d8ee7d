"""Our losses beside two public libraries' (optional: skipped where they are not installed).

lightly (needs torchvision) and pytorch-metric-learning; seen to agree at lightly 1.6.0, pytorch-metric-learning 2.9.0.
Where a library means another formula, the known factor or argument stands in the table and is part of what is tested.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from loss_cases import generic

import full_models.losses as L

torch.set_num_threads(1)
REF = {"convention": "reference"}
WHY = "the library is not installed, or lacks one of its own requirements; the comparison is optional"
Loss = Callable[..., Any]


def lightly(module: str = "lightly.loss") -> Any:
    return pytest.importorskip(module, reason=WHY, exc_type=ImportError)


def metric_learning() -> Any:
    return pytest.importorskip("pytorch_metric_learning.losses", reason=WHY, exc_type=ImportError)


def _queue(z: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
    return L.queue_info_nce(z, w, queue=torch.tensor(generic(8, 5, 77)[0]), tau=0.2)


def _queue_peer() -> Loss:
    """lightly keeps the queue itself: give it ours, and ask for the value before it enqueues the keys."""
    loss = lightly().NTXentLoss(temperature=0.2, memory_bank_size=(8, 5))
    bank = torch.nn.functional.normalize(torch.tensor(generic(8, 5, 77)[0]), dim=1)

    def value(z: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
        loss.memory_bank.bank = bank.clone()
        return loss(z, w.detach())

    return value


def _self_supervised(name: str, **how: Any) -> Loss:
    module = metric_learning()
    return module.SelfSupervisedLoss(getattr(module, name)(**how))


PEERS: dict[str, tuple[Callable[[], Loss], Loss]] = {
    "lightly NTXentLoss": (lambda: lightly().NTXentLoss(temperature=0.3), partial(L.nt_xent, tau=0.3)),
    "lightly NTXentLoss with a queue": (_queue_peer, lambda z, w: _queue(z, w.detach())),
    "lightly DCLLoss": (lambda: lightly().DCLLoss(temperature=0.3), partial(L.decoupled_contrastive, tau=0.3)),
    "lightly VICRegLoss": (lambda: lightly().VICRegLoss(), partial(L.vicreg, **REF)),
    "lightly BarlowTwinsLoss": (lambda: lightly().BarlowTwinsLoss(), partial(L.barlow_twins, lam=5e-3, **REF)),
    "lightly NegativeCosineSimilarity": (
        lambda: lightly().NegativeCosineSimilarity(),
        partial(L.negative_cosine, **REF),
    ),
    "lightly HypersphereLoss": (  # its t is 1 where the paper's and ours is 2
        lambda: lightly("lightly.loss.hypersphere_loss").HypersphereLoss(t=1.0),
        lambda z, w: L.alignment(z, w) + L.uniformity(z, w, t=1.0),
    ),
    "metric-learning NTXentLoss": (
        lambda: _self_supervised("NTXentLoss", temperature=0.3),
        partial(L.nt_xent, tau=0.3),
    ),
    "metric-learning VICRegLoss": (
        lambda: (lambda loss: lambda z, w: loss(z, ref_emb=w))(metric_learning().VICRegLoss()),
        partial(L.vicreg, **REF),
    ),
}


def values_and_gradients(loss: Loss) -> tuple[torch.Tensor, torch.Tensor]:
    z, w = (torch.tensor(v, requires_grad=True) for v in generic(6, 5, 21))
    value = loss(z, w)
    grads = torch.autograd.grad(value, (z, w), allow_unused=True)
    return value.detach(), torch.stack([torch.zeros_like(z) if g is None else g for g in grads])


@pytest.mark.parametrize("name", PEERS)
def test_value_and_gradient_equal_the_peer_s(name: str):
    make, ours = PEERS[name]
    theirs = make()
    for a, b in zip(values_and_gradients(ours), values_and_gradients(theirs), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-12)  # both float64; rounding of another order of sums


@pytest.mark.parametrize("name", ["lightly VICRegLoss", "metric-learning VICRegLoss"])
def test_the_peers_follow_the_reference_and_not_the_paper(name: str):
    theirs = values_and_gradients(PEERS[name][0]())[0]
    assert abs(values_and_gradients(L.vicreg)[0] / theirs - 1) > 0.5  # d = 5 in one term, 2 in another


def test_sigreg_equals_lightly_s_with_its_directions():
    theirs = lightly("lightly.loss.lejepa_loss").SIGReg(num_vectors=16).double()
    z = torch.tensor(generic(6, 5, 21)[0])
    torch.manual_seed(0)
    value = theirs(z)
    torch.manual_seed(0)
    directions = torch.randn(5, 16, dtype=z.dtype)  # as it draws them, from the global generator
    ours = L.sigreg(z, z, directions=directions, **REF)
    torch.testing.assert_close(ours, value, rtol=1e-5, atol=0)  # its knots and weights are stored in float32
