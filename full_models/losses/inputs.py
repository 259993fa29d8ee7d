"""What every loss asks of its arguments, and the small operations they share.

Checks look at shapes, names, plain numbers and a temperature, never at the entries of embeddings: a check of entries would stop
the device and would not run under `torch.func.vmap`. A NaN entry therefore passes the checks, and the loss it enters is NaN
(only along its own leading index: the other networks of the batch are untouched).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

CONVENTIONS = ("paper", "reference")
NORM_FLOOR = 1e-12  # torch's own floor for an l2 norm: below it a vector is scaled by 1 / NORM_FLOOR


def check_pair(z: Tensor, z_plus: Tensor, least: int = 1) -> None:
    """Raises ValueError unless z and z_plus are (…, N, d) floating tensors of one shape and type, N >= least, d >= 1."""
    if z.ndim < 2 or z.shape != z_plus.shape:
        raise ValueError(
            f"the two embeddings have shapes {tuple(z.shape)} and {tuple(z_plus.shape)}: give both as (…, N, d)"
        )
    if z.dtype != z_plus.dtype:
        raise ValueError(f"the two embeddings are of {z.dtype} and {z_plus.dtype}: give both in one floating type")
    if not z.is_floating_point():
        raise ValueError(f"embeddings of {z.dtype} have no gradient: give floating tensors")
    if z.shape[-2] < least or z.shape[-1] < 1:
        raise ValueError(f"got N = {z.shape[-2]} samples of d = {z.shape[-1]}: this loss needs N >= {least} and d >= 1")


def check_beside(name: str, x: Tensor, z: Tensor, rows: int | str, columns: int | str) -> None:
    """Raises ValueError unless x is (…, rows, columns), a letter for any number >= 1, of z's type, and meets z's leading axes."""
    shape, wanted = x.shape[-2:], (rows, columns)
    fits = len(shape) == 2 and all(n >= 1 if isinstance(m, str) else n == m for n, m in zip(shape, wanted, strict=True))
    if not fits or x.dtype != z.dtype or not meet(x.shape[:-2], z.shape[:-2]):
        raise ValueError(
            f"{name}, {tuple(x.shape)} of {x.dtype}, does not fit embeddings {tuple(z.shape)} of {z.dtype}: give "
            f"(…, {rows}, {columns}) of their type and leading axes, letters at least 1"
        )


def meet(shape: torch.Size, other: torch.Size) -> bool:
    """Whether torch broadcasts one to the other."""
    return all(n == m or 1 in (n, m) for n, m in zip(reversed(shape), reversed(other), strict=False))


def check_positive(**numbers: float) -> None:
    """Raises ValueError unless each number is finite and > 0."""
    _check(numbers, lambda x: 0 < x < float("inf"), "a finite number > 0")


def check_finite(**numbers: float) -> None:
    """Raises ValueError unless each number is finite."""
    _check(numbers, lambda x: abs(x) < float("inf"), "a finite number")  # False for NaN too


def check_whole(least: int, **numbers: float) -> None:
    """Raises ValueError unless each number is whole and at least `least`."""
    _check(numbers, lambda x: least <= x < float("inf") and x == int(x), f"a whole number >= {least}")


def _check(numbers: dict[str, float], fits: Callable[[float], bool], wanted: str) -> None:
    for name, value in numbers.items():
        try:
            good = fits(value)
        except TypeError:  # no number at all
            good = False
        if not good:
            raise ValueError(f"{name} = {value!r}: give {wanted}")


def number(x: float | Tensor) -> float:
    """A tensor of one number as that number, without its gradient."""
    return float(x.item() if isinstance(x, Tensor) else x)


def temperature(tau: float | Tensor, z: Tensor) -> float | Tensor:
    """tau, a tensor of one number as one of shape (), by which scores of z's type keep their shape and type.

    Raises ValueError unless it is one real number > 0 by which they can be divided: 4 / tau is in their range.
    """
    if isinstance(tau, Tensor):
        if tau.numel() != 1 or tau.is_complex():
            raise ValueError(f"tau has shape {tuple(tau.shape)} and type {tau.dtype}: give one number, a real one")
        tau = tau.reshape(())
        value = number(tau)
        check_positive(tau=value)
    else:
        check_positive(tau=tau)
        value = float(tau)
    largest = torch.finfo(z.dtype).max
    if not 4 / largest <= value <= largest:
        raise ValueError(
            f"tau = {value} is beyond the range of {z.dtype}: give one from {4 / largest:.1g} to {largest:.1g}"
        )
    return tau


def is_paper(convention: str) -> bool:
    """True for "paper", False for "reference"; raises ValueError for any other word."""
    if convention not in CONVENTIONS:
        raise ValueError(f"convention {convention!r} is not known: use 'paper' or 'reference'")
    return convention == "paper"


def floor_in(dtype: torch.dtype, floor: float = NORM_FLOOR) -> float:
    """`floor`, or the type's least normal number where it has none so small: in float16, 6e-5."""
    return max(floor, torch.finfo(dtype).tiny)


def normalise(z: Tensor, floor: float = NORM_FLOOR, dim: int = -1) -> Tensor:
    """z / max(‖z‖₂, floor) along dim; exact, and smooth to every order except on the sphere ‖z‖ = floor.

    The result does not depend on the scale divided out first, so that scale is a constant to autograd; it keeps the
    squares of float32 numbers from over- and underflowing. A zero vector stays zero, with derivative 1 / floor.
    The floor is at least `floor_in`.
    """
    floor = floor_in(z.dtype, floor)
    scale = z.detach().abs().amax(dim, keepdim=True).clamp_min(floor)
    u = z / scale
    return u * torch.maximum(u.square().sum(dim, keepdim=True), (floor / scale).square()).rsqrt()


def centre(z: Tensor) -> Tensor:
    """z minus its mean over the N samples; exactly 0 for equal samples, accurate for a mean far above the spread."""
    shifted = z - z[..., :1, :].detach()
    return shifted - shifted.mean(-2, keepdim=True)


def at_least_float32(z: Tensor) -> Tensor:
    """float16 and bfloat16 as float32, which holds all their numbers; z itself in a wider type."""
    return z.float() if z.dtype in (torch.bfloat16, torch.float16) else z


def over_leading_axes(loss: Callable[..., Tensor], *inputs: Tensor) -> Tensor:
    """`loss` (…) of the inputs' networks, one after another: each is large. In float32 at least, given back in the inputs' type."""
    if all(x.ndim == 2 for x in inputs):  # spares the copy of the gradients that stacking them would be
        return loss(*map(at_least_float32, inputs)).to(inputs[0].dtype)
    lead = inputs[0].shape[:-2]  # q has the leading axes of z and of M
    stacks = [x.expand(*lead, *x.shape[-2:]).reshape(-1, *x.shape[-2:]) for x in map(at_least_float32, inputs)]
    losses = [loss(*network) for network in zip(*stacks, strict=True)]
    joined = torch.stack(losses) if losses else torch.stack([x.sum((-2, -1)) for x in stacks]).sum(0)  # has a gradient
    return joined.reshape(lead).to(inputs[0].dtype)


def trace(M: Tensor) -> Tensor:
    """Σ_i M_ii (…) of M (…, n, n)."""
    return M.diagonal(dim1=-2, dim2=-1).sum(-1)


def mean_off_diagonal(M: Tensor) -> Tensor:
    """Mean over i ≠ j of M_ij (…) of M (…, N, N), N >= 2."""
    N = M.shape[-1]
    return (M * (1 - torch.eye(N, dtype=M.dtype, device=M.device))).sum((-2, -1)) / (N * (N - 1))
