"""Probes: how well labels can be read off frozen features. Everything is chosen without the test set.

Features z (n, d) of a training and of a test set, labels (n,) whole numbers. Accuracies are sampled: shares of the test
set.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize

from dynamics.setting import SettingError

DECAYS = (1.0, 0.1, 0.01, 1e-3)  # strong to weak: each fit starts from the one before
VALIDATION = 0.2  # share of the training set on which the decay is chosen
ITERATIONS = 100
NEIGHBOURS, TEMPERATURE = 20, 0.07  # Wu et al. 2018 use 200 neighbours of a million images
BLOCK = 1024  # test rows whose similarities are in memory at a time


@dataclass(frozen=True)
class Features:
    """z (n, d) and labels (n,) of a training and of a test set."""

    train: Tensor
    train_labels: Tensor
    test: Tensor
    test_labels: Tensor

    def __post_init__(self) -> None:
        for name, z, y in (("train", self.train, self.train_labels), ("test", self.test, self.test_labels)):
            if z.ndim != 2 or y.shape != (len(z),) or not len(z):
                raise SettingError(
                    f"{name} features {tuple(z.shape)} and labels {tuple(y.shape)}: give (n, d) and (n,)"
                )
            if not torch.isfinite(z).all():
                raise SettingError(f"{name} features hold NaN or infinite values: the network diverged, lower its lr")

    @property
    def classes(self) -> int:
        return int(max(self.train_labels.max(), self.test_labels.max())) + 1


def linear_probe(features: Features, seed: int = 0) -> float:
    """Test accuracy of multinomial logistic regression on standardised features, full batch, by L-BFGS.

    min over (V, b) of the mean cross-entropy of V x + b plus decay ‖V‖²/2, x the features less their training mean over
    their training standard deviation (a feature that is constant to rounding becomes 0). `decay` is the one of DECAYS
    that is best on a random fifth of the training set, drawn by `seed`; then V, b are fitted to all of the training set.
    """
    train, test = _standardised(features)
    y, classes = features.train_labels, features.classes
    order = torch.randperm(len(train), generator=torch.Generator().manual_seed(seed)).to(train.device)
    held = max(1, round(VALIDATION * len(train)))
    fit, valid = order[held:], order[:held]
    if not len(fit):
        raise SettingError(f"{len(train)} training images are too few for a probe: give at least 2")
    parameters, best = _zeros(train, classes), (-1.0, DECAYS[0], _zeros(train, classes))
    for decay in DECAYS:
        parameters = _fit(train[fit], y[fit], decay, parameters)
        score = _accuracy(train[valid], y[valid], parameters)
        if score > best[0]:
            best = score, decay, parameters
    return _accuracy(test, features.test_labels, _fit(train, y, best[1], best[2]))


def knn_probe(features: Features, k: int = NEIGHBOURS, tau: float = TEMPERATURE) -> float:
    """Test accuracy of the vote of the k training rows of largest cosine, each weighted exp(cos / tau).

    Source: Wu et al. 2018, section 3.4. k is cut to the size of the training set.
    """
    bank, queries = normalize(features.train), normalize(features.test)
    k = min(k, len(bank))
    right = 0
    for rows, y in zip(queries.split(BLOCK), features.test_labels.split(BLOCK), strict=True):
        cosine, index = (rows @ bank.T).topk(k, dim=1)
        votes = torch.zeros(len(rows), features.classes, dtype=rows.dtype, device=rows.device)
        votes.scatter_add_(1, features.train_labels[index], ((cosine - 1) / tau).exp())
        right += int((votes.argmax(1) == y).sum())
    return right / len(queries)


def chance(features: Features) -> float:
    """Test accuracy of always naming the training set's most frequent class."""
    common = features.train_labels.bincount().argmax()
    return float((features.test_labels == common).double().mean())


def _standardised(features: Features) -> tuple[Tensor, Tensor]:
    mean, std = features.train.double().mean(0), features.train.double().std(0, correction=0)
    rounding = torch.finfo(features.train.dtype).eps * mean.abs()
    scale = torch.where(std > rounding, std, torch.inf)
    train, test = (((z.double() - mean) / scale).float() for z in (features.train, features.test))
    return train, test


Parameters = tuple[Tensor, Tensor]


def _zeros(x: Tensor, classes: int) -> Parameters:
    return torch.zeros(classes, x.shape[1], device=x.device), torch.zeros(classes, device=x.device)


def _fit(x: Tensor, y: Tensor, decay: float, start: Parameters) -> Parameters:
    V, b = (M.clone().requires_grad_() for M in start)
    solver = torch.optim.LBFGS([V, b], max_iter=ITERATIONS, tolerance_grad=1e-4, line_search_fn="strong_wolfe")

    def objective() -> Tensor:
        solver.zero_grad()
        value = cross_entropy(x @ V.T + b, y) + decay * V.square().sum() / 2
        value.backward()
        return value

    with torch.enable_grad():
        solver.step(objective)  # pyright: ignore[reportArgumentType]  its stub wants a float, its code a tensor
    return V.detach(), b.detach()


def _accuracy(x: Tensor, y: Tensor, parameters: Parameters) -> float:
    V, b = parameters
    return float(((x @ V.T + b).argmax(1) == y).double().mean())
