"""InfoNCE and NT-Xent of many samples, by blocks of rows: no N x N matrix in memory.

The formulas and letters are those of `full_models.losses.contrastive`, the values and gradients too, to rounding. Both
losses are  J = (1/N) Σ_i [ log Σ_j exp s_ij - s_i,pos(i) ],  s_ij = q_i·k_j / tau, whose gradient is that of a softmax
π_ij = exp s_ij / Σ_l exp s_il:

    ∂J/∂q_i = (Σ_j π_ij k_j - k_pos(i)) / (tau N)        ∂J/∂k_j = (Σ_i π_ij q_i - q_pos⁻¹(j)) / (tau N)

A block of rows of s holds whole softmaxes, so it gives its part of value and gradients at once and is overwritten by the
next: three products and one exponential an entry, 6 N² d operations and N² exponentials in all, which is what the
gradient costs anyway. Memory is BLOCK bytes x N and the two gradients: k̂ is never written down, its lengths are divided
out of the products, c_j = 1 / ‖k_j‖; the positive is taken away from π itself, so that no k_pos is gathered. Where |s| is
small enough by Cauchy-Schwarz, exp s itself is summed, and the two passes that find and take away the maximum of a row
fall away. On one CPU thread all that happens to a row between the products is one compiled pass (`softmax_rows`), from
COMPILED_FROM rows on, where it repays its start: seconds at the first use on a machine, later some tenths from the disk,
and the compiler's own 100 MiB a process.

The gradients are computed in the forward pass and kept; they have no derivative of their own: `create_graph` raises a RuntimeError.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from full_models.losses.contrastive import critic_pair
from full_models.losses.inputs import NORM_FLOOR, check_pair, check_positive, is_paper

# Products of blocks of this height run at nearly the full rate; in powers of two torch's kᵀ sᵀ runs at half of it
BLOCK = 1056  # bytes of a column of the block of s: 132 rows of float64, 264 of float32
STRIP = 256  # rows of z at a time where vectors are made of them
COMPILED_FROM = 1024


def blocked_info_nce(
    z: Tensor, z_plus: Tensor, *, tau: float = 0.1, critic: str = "cosine", M: Tensor | None = None
) -> Tensor:
    """`info_nce` with its arguments, (…) over leading axes, in O(N) memory. Exact; once differentiable.

    Raises ValueError on shapes, critic, tau.
    """
    cosine = (
        critic == "cosine" and M is None
    )  # normalised block by block; every other critic, and every check, is theirs
    q, k = critic_pair(z, z_plus, tau, "dot" if cosine else critic, M)
    return _over_leading_axes(q, k, tau, 0, cosine)


def blocked_nt_xent(z: Tensor, z_plus: Tensor, *, tau: float = 0.5, convention: str = "paper") -> Tensor:
    """`nt_xent` with its arguments, (…) over leading axes, in O(N) memory. Exact; once differentiable.

    Raises ValueError on shapes, tau, convention.
    """
    scale = 1.0 if is_paper(convention) else 2.0
    check_pair(z, z_plus)
    check_positive(tau=tau)
    both = torch.cat([z, z_plus], -2)
    return scale * _over_leading_axes(both, both, tau, z.shape[-2], True)


def _over_leading_axes(q: Tensor, k: Tensor, tau: float, offset: int, cosine: bool) -> Tensor:
    """One network after another: each is large. offset: pos(i) = i + offset (mod N); > 0 also takes row i's own k_i out."""
    with_gradient = torch.is_grad_enabled() and (q.requires_grad or k.requires_grad)
    if q.ndim == k.ndim == 2:  # spares the copy of the gradients that stacking them would be
        return _Softmax.apply(q, k, tau, offset, cosine, with_gradient)
    lead = torch.broadcast_shapes(q.shape[:-2], k.shape[:-2])
    pairs = zip(*(x.expand(*lead, *x.shape[-2:]).reshape(-1, *x.shape[-2:]) for x in (q, k)), strict=True)
    losses = [_Softmax.apply(a, b, tau, offset, cosine, with_gradient) for a, b in pairs]
    return torch.stack(losses).reshape(lead) if losses else q.new_zeros(lead)


class _Softmax(torch.autograd.Function):
    """J above as a function of q and k, each (N, d), or of their directions where `cosine`."""

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, tau: float, offset: int, cosine: bool, with_gradient: bool) -> Tensor:
        (N, d), rows = q.shape, BLOCK // q.element_size()
        b, c = (_inverse_lengths(z) if cosine else z.new_ones(N) for z in (q, k))
        weight = (b / tau)[:, None]
        gq, gk = (torch.empty_like(q), q.new_zeros(d, N)) if with_gradient else (None, None)
        losses, scores = q.new_empty(N), q.new_empty(min(rows, N), N)
        safe = math.log(torch.finfo(q.dtype).max) / 2  # half, so that products of exp(± safe) are normal numbers too
        bounded = (1.0 if cosine else _bound(q, k)) / tau <= safe  # False for NaN
        softmax = _compiled if _compiles(q) else _by_torch
        for i in range(0, N, rows):
            block = slice(i, i + rows)
            u = q[block] * weight[block]
            s = torch.mm(u, k.mT, out=scores[: len(u)])
            Z = softmax(s, c, i, offset, bounded, safe, losses[block])[:, None]
            if gq is not None and gk is not None:
                torch.mul(torch.mm(k.mT, s.mT).mT, weight[block] / (N * Z), out=gq[block])
                gk.addmm_((u / Z).mT, s, alpha=1 / N)
        if gq is not None and gk is not None:
            if cosine:
                _through_the_norm(gq, q, b)
                _through_the_norm(gk.mT, k, c)
            ctx.save_for_backward(gq, gk.mT)
        return losses.mean()

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        if torch.is_grad_enabled():  # create_graph: the gradients kept are constants, and would be taken for such
            raise RuntimeError("a blocked loss has no second derivative: use info_nce or nt_xent for that")
        gq, gk = ctx.saved_tensors
        needs_q, needs_k, *_ = ctx.needs_input_grad
        scaled = (lambda g: g) if float(upstream) == 1 else (lambda g: upstream * g)  # mostly 1: no copy then
        return scaled(gq) if needs_q else None, scaled(gk) if needs_k else None, None, None, None, None


def _by_torch(s: Tensor, c: Tensor, first: int, offset: int, bounded: bool, safe: float, losses: Tensor) -> Tensor:
    """Z of the rows, as `softmax_rows`, whose letters these are: s is overwritten, losses is J."""
    at = (torch.arange(first, first + len(s), device=s.device) + offset).remainder(s.shape[1])[:, None]
    s.mul_(c)
    if offset:
        s.diagonal(first).fill_(-torch.inf)
    score = s.gather(1, at)
    if not bounded:
        top = s.amax(-1, keepdim=True)
        s.sub_(top).clamp_(min=-safe)  # e^-safe is nothing beside the row's 1, but no denormal, which is slow
        score = score - top
    Z = s.exp_().sum(-1, keepdim=True)
    losses.copy_((Z.log() - score)[:, 0])
    s.scatter_add_(1, at, -Z).mul_(c)
    return Z[:, 0]


def _compiled(s: Tensor, c: Tensor, first: int, offset: int, bounded: bool, safe: float, losses: Tensor) -> Tensor:
    """The same by one pass. Below -1.25 safe there is nothing in bounded rows, and beside their 1 in the others."""
    from full_models.losses.softmax_rows import softmax_rows  # numba takes a third of a second to import

    Z = torch.empty_like(losses)
    softmax_rows(s.numpy(), c.numpy(), first, offset, bounded, -1.25 * safe, losses.numpy(), Z.numpy())
    return Z


def _compiles(q: Tensor) -> bool:
    """Whether `softmax_rows` is the faster: it runs on one thread, where torch's passes use all they are given."""
    kind = q.device.type == "cpu" and q.dtype in (torch.float64, torch.float32)
    return kind and len(q) >= COMPILED_FROM and torch.get_num_threads() == 1


def _inverse_lengths(z: Tensor) -> Tensor:
    """1 / max(‖z‖, floor) (N,); z times it is `normalise(z)`. Squares neither over- nor underflow."""
    lengths, room = z.new_empty(len(z)), z.new_empty(min(STRIP, len(z)), z.shape[-1])
    for x, length in zip(z.split(STRIP), lengths.split(STRIP), strict=True):
        scale = torch.abs(x, out=room[: len(x)]).amax(-1).clamp_(min=NORM_FLOOR)
        scaled = torch.div(x, scale[:, None], out=room[: len(x)])
        torch.linalg.vector_norm(scaled, dim=-1, out=length).mul_(scale)
    return lengths.clamp_(min=NORM_FLOOR).reciprocal_()


def _through_the_norm(g: Tensor, z: Tensor, b: Tensor) -> None:
    """∂J/∂z = g - u (u·g) from g = b ∂J/∂u, u = b z, b = 1 / ‖z‖, in place; g itself where the norm is at its floor."""
    room = z.new_empty(min(STRIP, len(z)), z.shape[-1])
    for x, y, a in zip(g.split(STRIP), z.split(STRIP), b.split(STRIP), strict=True):
        u = torch.mul(y, a[:, None], out=room[: len(y)])
        along = torch.where(a < 1 / NORM_FLOOR, torch.linalg.vecdot(u, x), 0.0)
        x.addcmul_(u, along[:, None], value=-1)


def _bound(q: Tensor, k: Tensor) -> float:
    """max_i ‖q_i‖ max_j ‖k_j‖ >= |q_i·k_j|."""
    return float(q.norm(dim=-1).max() * k.norm(dim=-1).max())
