"""Deep networks: rows, losses and neighbours are their formulas in numpy, and a symmetric predictor stays one."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from full_model_cases import DEEP_SMALL

from dynamics.run import Array
from full_models.deep import Images, Networks, _images, _knn, _record, _start, _step, loss_of
from full_models.nets import embed

SHAPE = (8, 8)
IMAGES = _images(DEEP_SMALL, "cpu")
double = partial(np.testing.assert_allclose, rtol=1e-9, atol=1e-12)  # float64 on the same embeddings
single = partial(np.testing.assert_allclose, rtol=1e-5)  # float32 means over at most 1024 pairs


def networks(**changes) -> Networks:
    return _start(DEEP_SMALL.replace(**changes), SHAPE, [np.random.default_rng(r) for r in range(2)], "cpu")


def embedded(nets: Networks, images: Images = IMAGES) -> list[Array]:
    """z, z⁺ (2, N, k): of two replicas, on each side of the measured pairs."""
    sides = (images.pairs[:, i].expand(2, -1, -1) for i in (0, 1))
    return [embed("mlp", nets.f, side, SHAPE).double().numpy() for side in sides]


def test_a_row_is_its_formulas() -> None:
    nets = networks()
    row = _record(DEEP_SMALL, nets, IMAGES)
    for r, (z, z_plus) in enumerate(zip(*embedded(nets), strict=True)):
        P = nets.P[r].double().numpy()
        F = (z.T @ z_plus + z_plus.T @ z) / (2 * len(z))
        s, U = np.linalg.eigh(F)
        PU = P @ U[:, ::-1]
        p = (U[:, ::-1] * PU).sum(0)
        double(row["spectrum"][r], np.linalg.eigvalsh(np.cov(z.T, bias=True))[::-1])
        double(row["variance"][r], z.var(0).sum())
        double(row["mean"][r], np.square(z.mean(0)).sum())
        double(row["s"][r], s[::-1])
        double(row["p"][r], p)
        double(row["cosine"][r], p / np.linalg.norm(PU, axis=0))
        double(row["alignment"][r], np.linalg.norm(P @ F - F @ P) / np.linalg.norm(P) / np.linalg.norm(F))
        single(row["loss"][r], np.square(z @ P.T - z_plus).sum(1).mean() / 2)


@pytest.mark.parametrize(
    "objective", [{"loss": "invariance"}, {"loss": "predictor"}, {"loss": "predictor", "symmetrised": True}]
)
def test_a_loss_is_its_formula(objective: dict) -> None:
    setting = DEEP_SMALL.replace(**{f"objective__{name}": value for name, value in objective.items()})
    nets = networks()
    z, z_plus = embedded(nets)
    P = np.eye(z.shape[-1]) if objective["loss"] == "invariance" else nets.P.double().numpy().mT

    def direction(a: Array, b: Array) -> Array:
        return np.square(a @ P - b).sum(-1).mean(-1) / 2

    both = (direction(z, z_plus) + direction(z_plus, z)) / 2
    x, x_plus = (IMAGES.pairs[:, i].expand(2, -1, -1) for i in (0, 1))
    single(loss_of(setting, nets, x, x_plus, SHAPE), both if "symmetrised" in objective else direction(z, z_plus))


def test_a_symmetric_predictor_starts_and_stays_symmetric() -> None:
    change = {"network__start": "symmetric", "objective__predictor": "symmetric"}
    nets = networks(**change)
    start = nets.P.clone()
    assert torch.equal(start, start.mT)
    assert not torch.equal(networks().P, networks().P.mT), "a generic one is not"
    x, x_plus = (IMAGES.pairs[None, :32, i].expand(2, -1, -1) for i in (0, 1))
    _step(DEEP_SMALL.replace(**change), nets, x, x_plus, SHAPE, 0.1)
    assert (nets.P - start).abs().max() > 1e-3, "it moved"
    assert torch.equal(nets.P, nets.P.mT)


def voted(places: str, names: str) -> float:
    """k-NN of images at the places (one digit each), ten of each, that have the names."""
    z, labels = (np.repeat([float(c) for c in digits], 10) for digits in (places, names))
    return _knn(100 * z[:, None], labels)


@pytest.mark.parametrize(
    ("places", "names", "share"),
    [
        ("0101", "0101", 1.0),  # all 20 of the other half would tie
        ("0110", "0110", 1.0),  # the second half in another order: neighbours are of it, not of one's own half
        ("0101", "1001", 0.0),  # what the second half says, not the first
        ("0123", "0001", 1.0),  # of 2 and 3 the nearest to 0 and to 1 is 2, named as they are
    ],
)
def test_neighbours_are_the_nearest_of_the_other_half(places: str, names: str, share: float) -> None:
    assert voted(places, names) == share
