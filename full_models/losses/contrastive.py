"""Losses with negatives: InfoNCE, binary NCE, NT-Xent, decoupled contrastive, MoCo's queue, spectral contrastive.

    z, z⁺   (…, N, d)  embeddings of the two views, row n of both from one source
    tau     temperature (> 0, no unit): a number, or a tensor of one, which gets its gradient
    s_ij    score of z_i against z⁺_j; ẑ = z / ‖z‖

Softmaxes are taken through log-sum-exp, so float32 holds at tau = 0.005. All are exact functions of their arrays.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from full_models.losses.inputs import (
    check_beside,
    check_finite,
    check_pair,
    check_positive,
    is_paper,
    mean_off_diagonal,
    normalise,
    temperature,
)

CRITICS = ("cosine", "dot", "bilinear")


def info_nce(
    z: Tensor, z_plus: Tensor, *, tau: float | Tensor = 0.1, critic: str = "cosine", M: Tensor | None = None
) -> Tensor:
    """-(1/N) Σ_i log [ exp s_ii / Σ_j exp s_ij ]  (…), nats; candidates j are the N rows of z⁺. Exact.

    critic "cosine": s_ij = ẑ_i·ẑ⁺_j / tau;  "dot": z_i·z⁺_j / tau;  "bilinear": z_iᵀ M z⁺_j / tau with M (…, d, d).
    One direction: the symmetric form of CLIP is the mean of this and the call with the views exchanged (and Mᵀ).
    Equal rows: log N, its chance value, also the most that log N - loss can bound of the mutual information. N = 1: 0.
    Source: van den Oord et al. 2018 eq. 4 (bilinear, tau = 1). Raises ValueError on shapes, critic, tau.
    """
    s = _scores(z, z_plus, tau, critic, M)
    return (s.logsumexp(-1) - s.diagonal(dim1=-2, dim2=-1)).mean(-1)


def nce(
    z: Tensor,
    z_plus: Tensor,
    *,
    tau: float | Tensor = 1.0,
    critic: str = "dot",
    M: Tensor | None = None,
    b: float | None = None,
) -> Tensor:
    """-(1/N) Σ_i [ log σ(s_ii + b) + Σ_{j≠i} log σ(-s_ij - b) ]  (…), nats. Exact.

    b: None is -log(N - 1), noise-contrastive estimation with N - 1 noise samples to each datum, whose best score is the
    log density ratio itself (Gutmann & Hyvärinen 2010 eq. 8); a number is the bias of a sigmoid loss (SigLIP, with
    1/tau its scale). Critics and M as in `info_nce`. Raises ValueError on shapes, critic, tau, b and N < 2.
    """
    check_finite(b=b or 0.0)
    s = _scores(z, z_plus, tau, critic, M, least=2)
    N = z.shape[-2]
    s = s + (-math.log(N - 1) if b is None else b)
    positive = F.logsigmoid(s.diagonal(dim1=-2, dim2=-1)).mean(-1)
    return -positive - (N - 1) * mean_off_diagonal(F.logsigmoid(-s))


def nt_xent(z: Tensor, z_plus: Tensor, *, tau: float | Tensor = 0.5, convention: str = "paper") -> Tensor:
    """-(1/2N) Σ_i log [ exp(ẑ_i·ẑ_pos(i)/tau) / Σ_{k≠i} exp(ẑ_i·ẑ_k/tau) ] over the 2N rows of both views (…), nats.

    "paper": the mean over 2N (Chen et al. 2020 eq. 1). "reference": twice that, as the authors' TensorFlow 2 code adds
    the two directions' means. Equal rows: log(2N - 1). N = 1: 0, value and gradient. Exact. Raises ValueError.
    """
    scale = 1.0 if is_paper(convention) else 2.0
    s, positive = _both_views(z, z_plus, tau)
    return scale * (s.logsumexp(-1) - positive).mean(-1)


def decoupled_contrastive(z: Tensor, z_plus: Tensor, *, tau: float | Tensor = 0.1) -> Tensor:
    """-(1/2N) Σ_i [ ẑ_i·ẑ_pos(i)/tau - log Σ_{k≠i,pos(i)} exp(ẑ_i·ẑ_k/tau) ] over the 2N rows (…), nats. Exact.

    NT-Xent without the positive in the denominator, hence not bounded below by 0. Equal rows: log(2N - 2).
    Source: Yeh et al. 2022 eq. 6 (a sum there, a mean here). Raises ValueError on shapes, tau and N < 2.
    """
    s, positive = _both_views(z, z_plus, tau, least=2)
    N = z.shape[-2]
    partner = torch.eye(N, dtype=torch.bool, device=z.device).repeat(2, 2)
    return (s.masked_fill(partner, -torch.inf).logsumexp(-1) - positive).mean(-1)


def queue_info_nce(z: Tensor, z_plus: Tensor, *, queue: Tensor, tau: float | Tensor = 0.07) -> Tensor:
    """-(1/N) Σ_i log [ exp(q̂_i·k̂_i/tau) / (exp(q̂_i·k̂_i/tau) + Σ_{l≤K} exp(q̂_i·k̂_l/tau)) ]  (…), nats. Exact.

    z: queries q (…, N, d); z_plus: their keys k (…, N, d); queue (…, K, d), K >= 1: the negatives, which must not yet
    hold these keys (a key that is its own negative puts a floor of log 2 under the loss). All are normalised here.
    Equal rows: log(K + 1). Source: He et al. 2020 eq. 1; N = 1 is ordinary. Raises ValueError on shapes and tau.
    """
    check_pair(z, z_plus)
    tau = temperature(tau, z)
    check_beside("queue", queue, z, "K", z.shape[-1])
    q = normalise(z)
    negatives = q @ normalise(queue).mT / tau
    positive = (q * normalise(z_plus)).sum(-1, keepdim=True).expand(*negatives.shape[:-1], 1) / tau
    return (torch.cat([positive, negatives], -1).logsumexp(-1) - positive[..., 0]).mean(-1)


def spectral_contrastive(z: Tensor, z_plus: Tensor, *, mu: float = 1.0, convention: str = "paper") -> Tensor:
    """-(2/N) Σ_i z_i·z⁺_i + 1/(N(N-1)) Σ_{i≠j} (z_i·z⁺_j)²  (…), no unit. Exact.

    "paper": this, the unbiased estimate of HaoChen et al. 2021 eq. 6; mu is not used. "reference": the authors' code
    first clips each norm at √mu (ẑ √mu beyond it) and divides the loss by mu, equal for norms <= 1 = mu, and not above.
    Raises ValueError on shapes, mu, convention and N < 2.
    """
    check_pair(z, z_plus, least=2)
    check_positive(mu=mu)
    if not is_paper(convention):
        z, z_plus = normalise(z, math.sqrt(mu)), normalise(z_plus, math.sqrt(mu))
        s = mu * (z @ z_plus.mT)
    else:
        mu, s = 1.0, z @ z_plus.mT
    return (mean_off_diagonal(s.square()) - 2 * s.diagonal(dim1=-2, dim2=-1).mean(-1)) / mu


def critic_pair(
    z: Tensor, z_plus: Tensor, tau: float | Tensor, critic: str, M: Tensor | None, least: int = 1
) -> tuple[Tensor, Tensor, float | Tensor]:
    """(q, k, tau), q and k (…, N, d), with s_ij = q_i·k_j / tau for the critics of `info_nce`; checks all arguments, N >= least."""
    check_pair(z, z_plus, least)
    tau = temperature(tau, z)
    if critic not in CRITICS:
        raise ValueError(f"critic {critic!r} is not one of {', '.join(CRITICS)}")
    if (M is not None) != (critic == "bilinear"):
        raise ValueError("the matrix M belongs to the bilinear critic: give both or neither")
    if M is not None:
        check_beside("M", M, z, z.shape[-1], z.shape[-1])
        return z @ M, z_plus, tau
    return (normalise(z), normalise(z_plus), tau) if critic == "cosine" else (z, z_plus, tau)


def _scores(z: Tensor, z_plus: Tensor, tau: float | Tensor, critic: str, M: Tensor | None, least: int = 1) -> Tensor:
    """s (…, N, N)."""
    q, k, tau = critic_pair(z, z_plus, tau, critic, M, least)
    return q @ k.mT / tau


def _both_views(z: Tensor, z_plus: Tensor, tau: float | Tensor, least: int = 1) -> tuple[Tensor, Tensor]:
    """Cosine scores s (…, 2N, 2N) of the rows of both views, -inf on the diagonal, and each row's positive (…, 2N)."""
    check_pair(z, z_plus, least)
    tau = temperature(tau, z)
    N = z.shape[-2]
    u = normalise(torch.cat([z, z_plus], -2))
    positive = (u[..., :N, :] * u[..., N:, :]).sum(-1) / tau
    own = torch.eye(2 * N, dtype=torch.bool, device=z.device)
    return (u @ u.mT / tau).masked_fill(own, -torch.inf), torch.cat([positive, positive], -1)
