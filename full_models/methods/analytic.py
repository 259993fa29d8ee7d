"""Predictors set by formula from running moments of the embeddings: optimal, DirectPred, DirectSet(alpha).

    F = E[z zᵀ]   C = E[t zᵀ]   (d, d), uncentred, over both directions of a batch; t the target of z
    F ← rho F + (1 - rho) F_batch, likewise C, starting at the first batch's: rho is the weight of the *old* estimate

The rules are exact functions of F and C, taken in float64; nothing of them is differentiated.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from full_models.methods.method import MethodError

Rule = Callable[[Tensor, Tensor], Tensor]  # (F, C) -> P
SMALLEST = 1e-4  # floor under DirectPred's eigenvalues in the authors' code
NORMS = ("spectral", "frobenius", "none")


def optimal(F: Tensor, C: Tensor) -> Tensor:
    """argmin_P E‖P z - t‖² = C F⁺ (d, d): least squares, the solution of least norm where F is singular."""
    return C @ torch.linalg.pinv(F, hermitian=True)


def direct_pred(F: Tensor, eps: float = 0.1, convention: str = "paper") -> Tensor:
    """U diag(p) Uᵀ (d, d) of F = U diag(s) Uᵀ, s clamped at 0.

    "paper": p_j = √s_j + eps max_j s_j (Tian, Chen & Ganguli 2021 eq. 18). "reference", the authors' `boost_scale`:
    p_j = max(√(s_j / max_j s_j) + eps, 1e-4), which does not change with the scale of F. At F = 0: p = 0, or eps.
    """
    s, U = torch.linalg.eigh(F)
    s = s.clamp_min(0)
    if convention == "paper":
        p = s.sqrt() + eps * s[..., -1:]
    elif convention == "reference":
        p = (_over_largest(s).sqrt() + eps).clamp_min(SMALLEST)
    else:
        raise MethodError(f"convention {convention!r} is not known: use 'paper' or 'reference'")
    return (U * p[..., None, :]) @ U.mT


def direct_set(F: Tensor, alpha: float = 1.0, eps: float = 0.3, norm: str = "spectral") -> Tensor:
    """F^alpha / ‖F^alpha‖ + eps I (d, d); the norm "spectral" (the largest eigenvalue), "frobenius" or "none".

    Wang, Chen, Du & Tian 2021, arXiv:2110.04947: alpha = 1/2 is a DirectPred, 1 DirectCopy, whose public code divides by
    no norm. At F = 0: eps I.
    """
    if norm not in NORMS:
        raise MethodError(f"norm {norm!r} is not one of {', '.join(NORMS)}")
    if not 0 < alpha < math.inf:
        raise MethodError(f"alpha = {alpha}: give a finite number > 0")
    s, U = torch.linalg.eigh(F)
    p = s.clamp_min(0).pow(alpha)
    if norm == "spectral":
        p = _over_largest(p)
    elif norm == "frobenius":
        p = nn.functional.normalize(p, dim=-1)
    return (U * (p + eps)[..., None, :]) @ U.mT


class AnalyticPredictor(nn.Module):
    """p = P z with P = rule(F, C), set after every optimiser step whose number is a multiple of freq.

    Between two settings P is trained by gradient (freq > 1, Tian et al.'s "freq") or stands still (freq = 1, where the
    next setting would overwrite the step). Until the first setting P is U(±1/√d), a linear layer's law. `observe` and
    `settle` follow the order of the authors' code: F from the step's embeddings, P after the optimiser.
    """

    F: Tensor
    C: Tensor
    seen: Tensor

    def __init__(self, d: int, rule: Rule, rho: float = 0.3, freq: int = 1) -> None:
        super().__init__()
        if not 0 <= rho < 1:
            raise MethodError(f"rho = {rho}: give the weight of the old estimate, 0 <= rho < 1")
        if freq < 1:
            raise MethodError(f"freq = {freq}: give a whole number of steps >= 1")
        self.rule = rule
        self.rho = rho
        self.freq = freq
        self.P = nn.Parameter(torch.empty(d, d), requires_grad=freq > 1)
        self.register_buffer("F", torch.empty(d, d))
        self.register_buffer("C", torch.empty(d, d))
        self.register_buffer("seen", torch.empty(()))  # 1 once a batch is in F

    def start(self, generator: torch.Generator) -> None:
        bound = 1 / math.sqrt(len(self.P))
        self.P.uniform_(-bound, bound, generator=generator)
        for moment in (self.F, self.C, self.seen):
            moment.zero_()

    def matrix(self) -> Tensor:
        """P (d, d)."""
        return self.P

    def forward(self, z: Tensor) -> Tensor:
        return z @ self.P.T

    @torch.no_grad()
    def observe(self, z: Tensor, target: Tensor) -> Tensor:
        """Take embeddings z (N, d) and their targets into F and C; gives F."""
        old = self.rho * self.seen
        for moment, batch in ((self.F, z.mT @ z), (self.C, target.mT @ z)):
            moment.mul_(old).add_((1 - old) * batch / z.shape[-2])
        self.seen.fill_(1)
        return self.F

    @torch.no_grad()
    def settle(self, step: int) -> None:
        """P ← rule(F, C) if step is a multiple of freq."""
        if step % self.freq == 0:
            self.P.copy_(self.rule(self.F.double(), self.C.double()))


def _over_largest(s: Tensor) -> Tensor:
    """s / max_j s_j of ascending s >= 0; 0 where all are 0."""
    largest = s[..., -1:]
    return torch.where(largest > 0, s / largest, s)
