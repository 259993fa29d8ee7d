"""The methods on two views with a loss of both embeddings, each a few lines: which loss, which parts, which defaults.

Every maker takes its Parts and then the method's options. Defaults are the papers' where these do not depend on scale;
what the papers tie to ImageNet and hundreds of epochs (widths, momentum, a queue of 65,536) is smaller here, and said.
"""

from __future__ import annotations

import math
from functools import partial

import torch
from torch import Tensor, nn

from full_models import losses, networks
from full_models.methods.baselines import Supervised, Untrained
from full_models.methods.joint import JointEmbedding, LeadingPart
from full_models.methods.method import Method, MethodError
from full_models.methods.moco import MomentumContrast
from full_models.methods.parts import Parts
from full_models.methods.queue import KeyQueue
from full_models.methods.target import average


def simclr(parts: Parts, *, tau: float = 0.5) -> Method:
    """NT-Xent; tau = 0.5, Chen et al.'s best on CIFAR-10 (appendix B.9)."""
    return JointEmbedding(parts.encoder, parts.projector(), partial(losses.nt_xent, tau=tau))


def info_nce(parts: Parts, *, critic: str = "bilinear", tau: float = 1.0) -> Method:
    """CPC's loss, candidates from the other view only, one direction; "bilinear" learns M with the network (tau = 1)."""
    if critic == "bilinear":
        criterion = networks.build(lambda: LogBilinear(parts.d, tau), parts.generator)
    else:
        criterion = partial(losses.info_nce, critic=critic, tau=tau)
    return JointEmbedding(parts.encoder, parts.projector(), criterion)


class LogBilinear(nn.Module):
    """info_nce with the score z_iᵀ M z⁺_j / tau, M (d, d) learned; M starts U(±1/√d), a linear layer's law."""

    def __init__(self, d: int, tau: float) -> None:
        super().__init__()
        self.M = nn.Parameter(torch.empty(d, d))
        self.tau = tau

    def start(self, generator: torch.Generator) -> None:
        bound = 1 / math.sqrt(len(self.M))
        self.M.uniform_(-bound, bound, generator=generator)

    def forward(self, z: Tensor, z_plus: Tensor) -> Tensor:
        return losses.info_nce(z, z_plus, critic="bilinear", tau=self.tau, M=self.M)


def nce(parts: Parts, *, critic: str = "cosine", tau: float = 0.1) -> Method:
    """Binary noise-contrastive estimation; cosine scores at tau = 0.1, SigLIP's start (its scale is learned)."""
    return JointEmbedding(parts.encoder, parts.projector(), partial(losses.nce, critic=critic, tau=tau))


def moco(parts: Parts, *, tau: float = 0.2, queue: int = 1024, ema: float = 0.99, schedule: str = "constant") -> Method:
    """Keys by a moving average and a queue. tau = 0.2 as MoCo v2 with an MLP head (Chen et al. 2020, arXiv:2003.04297).

    Scaled down: the paper's queue is 65,536 and its average 0.999 over 10^5 steps and more; a few hundred steps would
    leave such a target where it started.
    """
    encoder, projector = parts.encoder, parts.projector()
    keys = networks.build(lambda: KeyQueue(queue, parts.d), parts.generator)
    return MomentumContrast(encoder, projector, average(encoder, projector, ema, schedule), keys, tau)


def decoupled(parts: Parts, *, tau: float = 0.1) -> Method:
    """Decoupled contrastive loss at the paper's tau = 0.1 (Yeh et al. 2022, section 4)."""
    return JointEmbedding(parts.encoder, parts.projector(), partial(losses.decoupled_contrastive, tau=tau))


def align_uniform(
    parts: Parts, *, align: float = 1.0, uniform: float = 1.0, alpha: float = 2.0, t: float = 2.0
) -> Method:
    """align · alignment + uniform · uniformity; alpha = t = 2 and weights 1 as in the authors' code (Wang & Isola 2020)."""

    def criterion(z: Tensor, z_plus: Tensor) -> Tensor:
        total = align * losses.alignment(z, z_plus, alpha=alpha)
        return total + uniform * losses.uniformity(z, z_plus, t=t) if uniform else total

    return JointEmbedding(parts.encoder, parts.projector(), criterion)


def spectral(parts: Parts, *, mu: float = 1.0, convention: str = "paper") -> Method:
    """Spectral contrastive loss; "reference" clips norms at √mu as the authors' code (HaoChen et al. 2021)."""
    criterion = partial(losses.spectral_contrastive, mu=mu, convention=convention)
    return JointEmbedding(parts.encoder, parts.projector(), criterion)


def vicreg(
    parts: Parts, *, lam: float = 25.0, mu: float = 25.0, nu: float = 1.0, convention: str = "reference"
) -> Method:
    """VICReg at 25, 25, 1 in the convention of the authors' code, for which these weights were found (a factor d apart)."""
    criterion = partial(losses.vicreg, lam=lam, mu=mu, nu=nu, convention=convention)
    return JointEmbedding(parts.encoder, parts.projector(), criterion)


def barlow_twins(parts: Parts, *, lam: float = 0.0051, convention: str = "reference") -> Method:
    """Barlow Twins at lam = 0.0051 with the authors' batch normalisation (Zbontar et al. 2021, section 3)."""
    return JointEmbedding(
        parts.encoder, parts.projector(), partial(losses.barlow_twins, lam=lam, convention=convention)
    )


def lejepa(
    parts: Parts, *, lam: float = 0.02, directions: int = 256, knots: int = 17, convention: str = "reference"
) -> Method:
    """LeJEPA with fresh directions each step; lam = 0.02, 256 directions, 17 knots: the authors' minimal code."""
    if directions < 1:
        raise MethodError(f"directions = {directions}: give a whole number >= 1")

    def draw(x: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        return {"directions": losses.random_directions(parts.d, directions, generator, x.dtype, str(x.device))}

    criterion = partial(losses.lejepa, lam=lam, knots=knots, convention=convention)
    return JointEmbedding(parts.encoder, parts.projector(), criterion, draw)


def invariance(parts: Parts) -> Method:
    """The invariance loss alone: constant embeddings are its optimum."""
    return JointEmbedding(parts.encoder, parts.projector(), losses.invariance)


def direct_clr(parts: Parts, *, dim: int = 32, tau: float = 0.1) -> Method:
    """InfoNCE on the first dim features, no projector; tau = 0.1; the paper's part is 360 of 2048 (Jing et al. 2022)."""
    part = LeadingPart(dim, parts.features)
    return JointEmbedding(parts.encoder, part, partial(losses.info_nce, critic="cosine", tau=tau))


def supervised(parts: Parts, *, classes: int = 10) -> Method:
    """A linear classifier on the features, trained with them on labels 0, …, classes - 1."""
    if classes < 1:
        raise MethodError(f"classes = {classes}: give a whole number >= 1")
    return Supervised(parts.encoder, networks.build(lambda: nn.Linear(parts.features, classes), parts.generator))


def untrained(parts: Parts) -> Method:
    """The encoder as it starts."""
    return Untrained(parts.encoder)
