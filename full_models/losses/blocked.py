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
fall away. On one CPU thread a block is compiled code of its own (`softmax_block`), from COMPILED_FROM rows on, where it
repays its start: seconds at the first use on a machine, later some tenths from the disk, and the compiler's own memory
(benchmarks/results/infonce.md says how much). There NT-Xent, whose rows are their own keys, makes half of its scores
(`symmetric_block`): 4 N² d operations.

float16 and bfloat16 are computed in float32, and the value and gradients given back in their own type: a sum of thousands of
exponentials has no room in them.

The gradients are computed in the forward pass and kept; they have no derivative of their own: `create_graph` raises a RuntimeError.
So do the transforms of `torch.func`, which record no such pass: both are for the plain losses.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import torch
from torch import Tensor

from full_models.losses import strips
from full_models.losses.contrastive import critic_pair
from full_models.losses.inputs import check_pair, floor_in, is_paper, number, over_leading_axes, temperature

# Products of blocks of this height run at nearly the full rate; in powers of two torch's kᵀ sᵀ runs at half of it
BLOCK = 1056  # bytes of a column of the block of s: 132 rows of float64, 264 of float32
COMPILED_FROM = 1024


def blocked_info_nce(
    z: Tensor, z_plus: Tensor, *, tau: float | Tensor = 0.1, critic: str = "cosine", M: Tensor | None = None
) -> Tensor:
    """`info_nce` with its arguments, (…) over leading axes, in O(N) memory. Exact; once differentiable, not by `torch.func`.

    NaN also where a row's length overflows. Raises ValueError on shapes, types, critic, tau.
    """
    cosine = critic == "cosine" and M is None  # divided by lengths block by block; the rest, checks too, is theirs
    q, k, tau = critic_pair(z, z_plus, tau, "dot" if cosine else critic, M)
    floor = floor_in(z.dtype) if cosine else None
    return over_leading_axes(lambda a, b: _Softmax.apply(a, b, tau, 0, floor, _wants_gradient(a, b, tau)), q, k)


def blocked_nt_xent(z: Tensor, z_plus: Tensor, *, tau: float | Tensor = 0.5, convention: str = "paper") -> Tensor:
    """`nt_xent` with its arguments, (…) over leading axes, in O(N) memory. Exact; once differentiable, not by `torch.func`.

    NaN also where a row's length overflows. Raises ValueError on shapes, types, tau, convention.
    """
    scale = 1.0 if is_paper(convention) else 2.0
    check_pair(z, z_plus)
    tau = temperature(tau, z)
    N, floor = z.shape[-2], floor_in(z.dtype)

    def loss(both: Tensor) -> Tensor:
        if _compiles(both) and 1 / number(tau) <= _safe(both):  # then a score serves its row and its column
            return _Pairs.apply(both, tau, floor, _wants_gradient(both, tau))
        return _Softmax.apply(both, both, tau, N, floor, _wants_gradient(both, tau))

    return scale * over_leading_axes(loss, torch.cat([z, z_plus], -2))


def _wants_gradient(*inputs: Tensor | float) -> bool:
    return torch.is_grad_enabled() and any(isinstance(x, Tensor) and x.requires_grad for x in inputs)


def _safe(z: Tensor) -> float:
    """log(max) / 2 of the type: half, so that products of exp(± safe) are normal numbers too."""
    return math.log(torch.finfo(z.dtype).max) / 2


def _scaled(upstream: Tensor, *gradients: Tensor | None) -> list[Tensor | None]:
    """The gradients kept from the forward pass, times the one from above, in their own types."""
    if torch.is_grad_enabled():  # create_graph: they are constants, and would be taken for such
        raise RuntimeError("a blocked loss has no second derivative: use info_nce or nt_xent for that")
    if float(upstream) == 1:  # mostly: no copy then
        return list(gradients)
    return [None if g is None else (upstream * g).to(g) for g in gradients]


def _by_temperature(tau: Tensor | float, q: Tensor, gq: Tensor, times: float = 1) -> Tensor | None:
    """∂J/∂tau, None where tau is a number. s_ij is linear in q_i and in 1 / tau, so it is -Σ_i q_i·∂J/∂q_i / tau, the lengths
    held; `times`: in how many places gq counts q."""
    if not isinstance(tau, Tensor):
        return None
    return (-torch.linalg.vecdot(q, gq).sum() / (times * number(tau))).to(tau)


class _Pairs(torch.autograd.Function):
    """J of rows z (2N, d) that are their own keys, pos(i) = i + N (mod 2N), as a function of their directions."""

    @staticmethod
    def forward(ctx: Any, z: Tensor, tau: Tensor | float, floor: float, with_gradient: bool) -> Tensor:
        from full_models.losses.symmetric_block import by_pairs  # numba takes a third of a second to import

        c = _inverse_lengths(z, floor)
        x, u = (a.detach().contiguous().numpy() for a in (z, c))
        losses, g = (torch.from_numpy(a) for a in by_pairs(x, u, number(tau), with_gradient))
        if with_gradient:
            slope = _by_temperature(tau, z, g, times=2)
            _through_the_norm(g, z, c, floor)
            ctx.save_for_backward(g, slope)
        return losses.mean()

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        return *_scaled(upstream, *ctx.saved_tensors), None, None


class _Softmax(torch.autograd.Function):
    """J above as a function of q and k, each (N, d), or of their directions where lengths have a `floor`.

    offset: pos(i) = i + offset (mod N); > 0 also takes row i's own k_i out.
    """

    @staticmethod
    def forward(
        ctx: Any, q: Tensor, k: Tensor, tau: Tensor | float, offset: int, floor: float | None, with_gradient: bool
    ) -> Tensor:
        b, c = (_inverse_lengths(z, floor) if floor else z.new_ones(len(z)) for z in (q, k))
        safe, t = _safe(q), number(tau)
        weights, per_tau = (b, 1 / t) if floor else (b / t, 1.0)  # q of any size meets tau at once, q̂ at the end
        bounded = (1.0 if floor else _bound(q, k)) / t <= safe  # False for NaN
        blocks = _compiled if _compiles(q) else partial(_by_torch, any_length=floor is None)
        # keys so long that u·k overflows before it is divided by their lengths: k̂ is written down after all
        long = floor is not None and blocks is not _compiled and float(c.min()) * t < 4 / torch.finfo(q.dtype).max
        keys, lengths = (k * c[:, None], torch.ones_like(c)) if long else (k, c)
        losses, gq, gk = blocks(q, keys, weights, lengths, per_tau, offset, bounded, safe, with_gradient)
        if with_gradient:
            slope = _by_temperature(tau, q, gq)
            if long:
                gk *= c[:, None]
            if floor:
                _through_the_norm(gq, q, b, floor)
                _through_the_norm(gk, k, c, floor)
            ctx.save_for_backward(gq, gk, slope)
        return losses.mean()

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        kept = zip(ctx.saved_tensors, ctx.needs_input_grad, strict=False)
        return *_scaled(upstream, *(g if needs else None for g, needs in kept)), None, None, None


Parts = tuple[Tensor, Tensor, Tensor]


def _by_torch(
    q: Tensor, k: Tensor, b: Tensor, c: Tensor, per_tau: float, offset: int, bounded: bool, safe: float,
    with_gradient: bool, any_length: bool,
) -> Parts:  # fmt: skip
    """J of each row, and with_gradient ∂J/∂q and ∂J/∂k of their mean, the lengths b and c held (else empty).

    b q, which is of order 1, comes before per_tau = 1 / tau: b / tau leaves the type where rows or tau are far from 1.
    any_length: c k may be as long as the type goes, so that what lies safe below a row's best must be exactly 0.
    """
    (N, d), rows = q.shape, BLOCK // q.element_size()
    gq, gk = (q.new_empty(N, d), q.new_zeros(d, N)) if with_gradient else (q.new_empty(0), q.new_empty(0, 0))
    losses, scores, per_row = q.new_empty(N), q.new_empty(min(rows, N), N), q.new_full((), per_tau / N)
    for i in range(0, N, rows):
        block = slice(i, i + rows)
        u = q[block] * b[block, None]
        room = scores[: len(u)]
        s = torch.addmm(room, u, k.mT, beta=0, alpha=per_tau, out=room)
        Z = _softmax_of(s, c, i, offset, bounded, safe, any_length, losses[block])
        if with_gradient:
            share = per_row / Z
            torch.mul(torch.mm(k.mT, s.mT).mT.mul_(share), b[block, None], out=gq[block])
            gk.addmm_((u * share).mT, s)
    return losses, gq, gk.mT


def _softmax_of(
    s: Tensor, c: Tensor, first: int, offset: int, bounded: bool, safe: float, any_length: bool, losses: Tensor
) -> Tensor:
    """Z (r, 1) of rows first, first + 1, … of the products s (r, N), which become (π - δ) Z c; losses is J."""
    at = (torch.arange(first, first + len(s), device=s.device) + offset).remainder(s.shape[1])[:, None]
    s.mul_(c)
    if offset:
        s.diagonal(first).fill_(-torch.inf)
    score = s.gather(1, at)
    if not bounded:
        top = s.amax(-1, keepdim=True)
        # e^-safe, 5e-20 in float32, is nothing beside the row's 1, nor are 2^40 of them; but no denormal, which is slow
        s.sub_(top).clamp_(min=-safe)
        score = score - top
    s.exp_()
    if any_length and not bounded:
        torch.threshold_(s, math.exp(1 - safe), 0.0)  # after exp, which is slow at -inf; e: beyond exp's rounding
    Z = s.sum(-1, keepdim=True)
    losses.copy_((Z.log() - score)[:, 0])
    s.scatter_add_(1, at, -Z).mul_(c)
    return Z


def _compiled(
    q: Tensor, k: Tensor, b: Tensor, c: Tensor, per_tau: float, offset: int, bounded: bool, safe: float,
    with_gradient: bool,
) -> Parts:  # fmt: skip
    """The same by compiled blocks."""
    from full_models.losses.softmax_block import by_blocks  # numba takes a third of a second to import

    x, y, u, v = (z.detach().contiguous().numpy() for z in (q, k, b, c))
    losses, gq, gk = (torch.from_numpy(z) for z in by_blocks(x, y, u, v, per_tau, offset, bounded, safe, with_gradient))
    return losses, gq, gk


def _compiles(q: Tensor) -> bool:
    """Whether compiled blocks are the faster: they run on one thread, where torch uses all it is given."""
    kind = q.device.type == "cpu" and q.dtype in (torch.float64, torch.float32)
    return kind and len(q) >= COMPILED_FROM and torch.get_num_threads() == 1


def _inverse_lengths(z: Tensor, floor: float) -> Tensor:
    """1 / max(‖z‖, floor) (N,); z times it is `normalise(z)`. Squares neither over- nor underflow; NaN where ‖z‖ does."""
    if not _compiles(z):
        return strips.inverse_lengths(z, floor)
    from full_models.losses.lengths import inverse_lengths

    x, lengths = z.detach().contiguous().numpy(), z.new_empty(len(z))
    inverse_lengths(x, x.dtype.type(floor), lengths.numpy())
    return lengths


def _through_the_norm(g: Tensor, z: Tensor, b: Tensor, floor: float) -> None:
    """∂J/∂z = g - u (u·g) from g = b ∂J/∂u, u = b z, b = 1 / ‖z‖, in place; g itself where the norm is at its floor."""
    if not _compiles(z):
        return strips.through_the_norm(g, z, b, floor)
    from full_models.losses.lengths import through_the_norm

    x = z.detach().contiguous().numpy()
    return through_the_norm(g.numpy(), x, b.numpy(), x.dtype.type(1) / x.dtype.type(floor))


def _bound(q: Tensor, k: Tensor) -> float:
    """max_i ‖q_i‖ max_j ‖k_j‖ >= |q_i·k_j|."""
    return float(q.norm(dim=-1).max() * k.norm(dim=-1).max())
