"""Observables of a method in training, float64 numpy: what a row of a Run holds. Sampled: means over fixed views."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from dynamics.observe import effective_rank, mode_pairs, normalised_commutator, spectrum
from dynamics.run import Array
from full_models.methods.method import Method
from full_models.probe import Features, chance, knn_probe, linear_probe
from full_models.training.material import Material
from full_models.training.recipe import RecipeError
from full_models.training.streams import stream

MEASURED = 1024  # training images whose two fixed views observables are measured on
CHUNK = 1024  # images that pass a network at a time outside training
PROBED = 4096, 2048  # training and test images of the probes that are taken along the way


def moments_row(method: Method, material: Material, seed: int) -> dict[str, Array]:
    """spectrum (d), variance, erank, directions, mean; with a predictor matrix P also p, s, cosine (d) and alignment.

    z = embed(x), z⁺ = embed(x⁺) on two views, the same at every call, of up to 1024 training images. spectrum:
    eigenvalues of the centred covariance of z, falling; variance its trace, erank its effective rank; mean ‖E z‖²;
    directions: effective rank of E[ẑ ẑᵀ], ẑ = z/‖z‖, uncentred, whatever the scale: 1 where all embeddings point one
    way, d where they fill the sphere. s: eigenvalues of
    F = sym E[z z⁺ᵀ], uncentred; p and cosine of P on F's eigenvectors; alignment, the normalised commutator of P and F.
    Raises RecipeError where an embedding is not finite, which parameters may be that still are.
    """
    device = material.train.images.device
    index = torch.arange(min(MEASURED, len(material.train)), device=device)
    views = material.views(index, "pair", stream(seed, "measure", device=device))
    z, z_plus = (in_chunks(method.embed, view).double().cpu().numpy() for view in views)
    if not (np.isfinite(z).all() and np.isfinite(z_plus).all()):
        raise RecipeError("training diverged, the embedding is not finite: give a smaller lr or more warmup")
    mean = z.mean(0)
    centred = z - mean
    lam = np.clip(spectrum(centred.T @ centred / len(z)), 0.0, None)
    length = np.linalg.norm(z, axis=1, keepdims=True)
    unit = np.divide(z, length, out=np.zeros_like(z), where=length > 0)
    row = {
        "spectrum": lam,
        "variance": lam.sum(),
        "erank": effective_rank(lam),
        "directions": effective_rank(np.clip(spectrum(unit.T @ unit / len(z)), 0.0, None)),
        "mean": np.square(mean).sum(),
    }
    P = method.predictor_matrix()
    if P is not None:
        M, F = P.double().cpu().numpy(), z.T @ z_plus / len(z)
        F = (F + F.T) / 2
        row["p"], row["s"], row["cosine"] = mode_pairs(M, F)
        row["alignment"] = normalised_commutator(M, F)
    return {name: np.array(value, np.float64, order="C") for name, value in row.items()}


def probes(features: Callable[[Tensor], Tensor], material: Material, seed: int, whole: bool) -> dict[str, float]:
    """Test accuracies "linear" and "knn" of features(x), and "chance"; {} where there are no labels.

    whole: of all training and test images, else of the first 4096 and 2048.
    """
    train, test = material.train, material.test
    if train.labels is None or test.labels is None:
        return {}
    n, m = (len(train), len(test)) if whole else PROBED
    h, h_test = (
        in_chunks(lambda x: features(material.fed(material.floats(x))), x) for x in (train.images[:n], test.images[:m])
    )
    read = Features(h.float(), train.labels[:n], h_test.float(), test.labels[:m])
    return {"linear": linear_probe(read, seed), "knn": knn_probe(read), "chance": chance(read)}


def pixels(x: Tensor) -> Tensor:
    """The image itself (N, c h w): what a probe reads without any network, of `Material.raw` levels in [0, 1]."""
    return x.flatten(1)


def in_chunks(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """function(x) computed 1024 rows at a time."""
    with torch.no_grad():
        return torch.cat([function(part) for part in x.split(CHUNK)])
