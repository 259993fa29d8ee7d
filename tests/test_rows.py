"""Rows of training are their formulas in numpy, and probes read each image with its own label."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from full_models import probe
from full_models.data import ImageSet
from full_models.methods.method import Method
from full_models.probe import Features, linear_probe
from full_models.training import measure
from full_models.training.material import Material
from full_models.training.measure import moments_row, pixels, probes

N, D = 50, 4
close = partial(np.testing.assert_allclose, rtol=1e-9)  # eigenvalue problems of a 4 x 4 in float64


class Pixels(Method):
    """z = x, and P for its predictor."""

    def __init__(self, P: Tensor) -> None:
        super().__init__(nn.Flatten())
        self.P = P

    def predictor_matrix(self) -> Tensor:
        return self.P


def images(x: Tensor, labels: Tensor | None = None, partner: Tensor | None = None) -> ImageSet:
    return ImageSet(x, labels, "drawn here", partner)


def fed(train: ImageSet, test: ImageSet) -> Material:
    return Material(train, test, lambda x, generator: x, torch.contiguous_format)


def exponential_entropy(lam: NDArray[np.floating]) -> float:
    q = lam / lam.sum()
    return float(np.exp(-(q * np.log(q)).sum()))


def test_a_row_is_its_formulas() -> None:
    g = torch.Generator().manual_seed(0)
    x = torch.randn(N, 1, 2, 2, generator=g) + 0.5
    partner = x + torch.randn(N, 1, 2, 2, generator=g)  # pairs are their own views: z = x, z⁺ = partner
    P = torch.randn(D, D, generator=g)
    row = moments_row(Pixels(P), fed(images(x, partner=partner), images(x)), seed=0)

    z, z_plus, M = (part.flatten(1).double().numpy() for part in (x, partner, P))
    lam = np.linalg.eigvalsh(np.cov(z.T, bias=True))[::-1]
    unit = z / np.linalg.norm(z, axis=1, keepdims=True)
    F = (z.T @ z_plus + z_plus.T @ z) / (2 * N)
    s, U = np.linalg.eigh(F)
    PU = M @ U[:, ::-1]
    p = (U[:, ::-1] * PU).sum(0)
    close(row["spectrum"], lam)
    close(row["variance"], lam.sum())
    close(row["erank"], exponential_entropy(lam))
    close(row["directions"], exponential_entropy(np.linalg.eigvalsh(unit.T @ unit / N)))
    close(row["mean"], np.square(z.mean(0)).sum())
    close(row["s"], s[::-1])
    close(row["p"], p)
    close(row["cosine"], p / np.linalg.norm(PU, axis=0))
    close(row["alignment"], np.linalg.norm(M @ F - F @ M) / np.linalg.norm(M) / np.linalg.norm(F))


def test_probes_along_the_way_read_the_first_images_with_their_own_labels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "PROBED", (40, 20))
    x = torch.rand(100, 1, 2, 2, generator=torch.Generator().manual_seed(0))
    bright = (x[:, 0, 0, 0] > 0.5).long()
    turned = torch.cat([bright[:40], 1 - bright[40:]])  # after the first 40 every label is wrong
    test = images(x[:30], torch.cat([bright[:20], 1 - bright[20:30]]))  # and after the first 20
    found = probes(pixels, fed(images(x, turned), test), seed=0, whole=False)
    assert found["linear"] > 0.9, "one pixel says it, up to images at its border; 0.5 of labels that mean nothing"
    assert probes(pixels, fed(images(x, turned), test), seed=0, whole=True)["linear"] < 0.5, "most are turned round"


def test_the_last_fit_is_to_all_of_the_training_set(monkeypatch: pytest.MonkeyPatch) -> None:
    rows: list[int] = []
    fit = probe._fit

    def watched(x: Tensor, *rest) -> probe.Parameters:
        rows.append(len(x))
        return fit(x, *rest)

    monkeypatch.setattr(probe, "_fit", watched)
    z, labels = torch.randn(40, 3, generator=torch.Generator().manual_seed(0)), torch.arange(40) % 2
    linear_probe(Features(z, labels, z, labels))
    assert rows == [32] * len(probe.DECAYS) + [40], "0.8 of 40 for each decay, then all"
