"""A temperature that is learned: of any shape, and through torch.func."""

from __future__ import annotations

import pytest
import torch
from loss_cases import generic

import full_models.losses as L

torch.set_num_threads(1)

TEMPERED = {
    "info_nce": L.info_nce,
    "nce": L.nce,
    "nt_xent": L.nt_xent,
    "decoupled_contrastive": L.decoupled_contrastive,
    "queue_info_nce": lambda z, w, tau: L.queue_info_nce(z, w, queue=w, tau=tau),
    "blocked_info_nce": L.blocked_info_nce,
    "blocked_nt_xent": L.blocked_nt_xent,
}


@pytest.mark.parametrize("name", TEMPERED)
@pytest.mark.parametrize("shape", [(), (1,), (1, 1, 1)])
def test_a_learned_temperature_of_any_shape_leaves_the_result_as_it_is(name: str, shape: tuple[int, ...]):
    z, w = (torch.tensor(v, dtype=torch.float16) for v in generic(5, 3, 6))
    expected = TEMPERED[name](z, w, tau=0.25)
    tau = torch.full(shape, 0.25, dtype=torch.float64, requires_grad=True)
    loss = TEMPERED[name](z, w, tau=tau)
    assert (loss.dtype, loss.shape) == (torch.float16, ())
    assert torch.equal(loss, expected)
    (slope,) = torch.autograd.grad(loss, tau)
    assert slope.shape == shape and slope.abs() > 0.01  # of order 1


@pytest.mark.parametrize("name", [name for name in TEMPERED if not name.startswith("blocked")])
def test_a_temperature_may_be_differentiated_by_torch_func_but_not_mapped_over(name: str):
    z, w = (torch.tensor(v) for v in generic(5, 3, 6))
    tau = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
    (expected,) = torch.autograd.grad(TEMPERED[name](z, w, tau=tau), tau)
    slope = torch.func.grad(lambda t: TEMPERED[name](z, w, tau=t))(tau.detach())
    torch.testing.assert_close(slope, expected, rtol=1e-14, atol=0)  # the same operations
    with pytest.raises(RuntimeError, match="vmap"):
        torch.func.vmap(lambda t: TEMPERED[name](z, w, tau=t))(tau.detach().expand(2))
