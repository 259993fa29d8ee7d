"""Probes against scikit-learn and against a vote counted out; they fail on labels that mean nothing, and never see the
test set."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from dynamics.setting import SettingError
from full_models import probe
from full_models.probe import Features, chance, knn_probe, linear_probe

CLASSES, D = 5, 12


def standard_error(accuracy: float, n: int) -> float:
    """√(a (1 - a) / n): binomial, of an accuracy a measured on n test rows."""
    return math.sqrt(accuracy * (1 - accuracy) / n)


def clusters(seed: int, n: int = 400, distance: float = 2.0, shuffled: bool = False) -> Features:
    """Gaussian classes at random centres; `shuffled`: labels are permuted among all rows."""
    g = torch.Generator().manual_seed(seed)
    centres = distance * torch.randn(CLASSES, D, generator=g)
    y = torch.randint(CLASSES, (2 * n,), generator=g)
    z = centres[y] + torch.randn(2 * n, D, generator=g)
    if shuffled:
        y = y[torch.randperm(2 * n, generator=g)]
    return Features(z[:n], y[:n], z[n:], y[n:])


def accuracy_by_hand(features: Features, decay: float) -> float:
    """scikit-learn's logistic regression: min Σ cross-entropy + ‖V‖² / (2 C), so C = 1 / (n decay)."""
    mean, std = features.train.mean(0), features.train.std(0, correction=0)
    model = LogisticRegression(C=1 / (len(features.train) * decay), max_iter=2000, tol=1e-8)
    model.fit(((features.train - mean) / std).numpy(), features.train_labels.numpy())
    return float(model.score(((features.test - mean) / std).numpy(), features.test_labels.numpy()))


@pytest.mark.parametrize("decay", probe.DECAYS)
def test_a_fit_is_logistic_regression(decay: float) -> None:
    features = clusters(1, distance=0.5)
    x, x_test = probe._standardised(features)
    fitted = probe._fit(x, features.train_labels, decay, probe._zeros(x, CLASSES))
    got = probe._accuracy(x_test, features.test_labels, fitted)
    assert abs(got - accuracy_by_hand(features, decay)) <= 2 / 400  # two of 400 rows may lie on the border


def test_the_decay_is_the_one_that_validation_prefers(monkeypatch: pytest.MonkeyPatch) -> None:
    features = clusters(1, distance=0.5)
    alone = {}
    for decay in probe.DECAYS:
        monkeypatch.setattr(probe, "DECAYS", (decay,))
        alone[decay] = linear_probe(features)
    monkeypatch.undo()
    assert linear_probe(features) in alone.values()
    monkeypatch.setattr(probe, "DECAYS", (1e6, 0.1))  # at 1e6 all weights are 0: validation must prefer the other
    assert linear_probe(features) == alone[0.1] > chance(features)


def test_fit_reaches_the_minimum() -> None:
    features = clusters(2)
    x, _ = probe._standardised(features)
    V, b = probe._fit(x, features.train_labels, 0.01, probe._zeros(x, CLASSES))
    V, b = V.double().requires_grad_(), b.double().requires_grad_()
    value = torch.nn.functional.cross_entropy(x.double() @ V.T + b, features.train_labels) + 0.005 * V.square().sum()
    gradients = torch.autograd.grad(value, (V, b))
    assert max(g.abs().max().item() for g in gradients) < 2 * 1e-4  # tolerance_grad is 1e-4; 2: float32 against float64


@pytest.mark.parametrize("read", [linear_probe, knn_probe])
def test_shuffled_labels_give_chance(read) -> None:
    scores = np.array([read(clusters(seed, n=250, shuffled=True)) for seed in range(8)])
    error = standard_error(1 / CLASSES, 250 * 8)
    assert abs(scores.mean() - 1 / CLASSES) < 4 * error  # 4 standard errors, n = 2000 test rows; labels are uniform
    assert read(clusters(0, n=250)) > 1 / CLASSES + 20 * error  # and real labels are far beyond that


def test_knn_is_the_weighted_vote() -> None:
    features = clusters(3, n=60)
    z, q = (x / x.norm(dim=1, keepdim=True) for x in (features.train.double(), features.test.double()))
    right = 0
    for row, label in zip((q @ z.T).numpy(), features.test_labels, strict=True):
        votes = np.zeros(CLASSES)
        for j in np.argsort(row)[::-1][: probe.NEIGHBOURS]:
            votes[features.train_labels[j]] += math.exp(row[j] / probe.TEMPERATURE)
        right += int(votes.argmax() == label)
    assert knn_probe(features) == right / 60


def test_nothing_is_chosen_on_the_test_set() -> None:
    """With other test rows the fitted model is the same: accuracies on a shared part agree."""
    features = clusters(4)
    half = 200
    first = Features(features.train, features.train_labels, features.test[:half], features.test_labels[:half])
    second = Features(features.train, features.train_labels, features.test[half:], features.test_labels[half:])
    whole = linear_probe(features)
    assert whole == pytest.approx((linear_probe(first) + linear_probe(second)) / 2, abs=1e-12)  # 1e-12: rounding


def test_a_collapsed_embedding_reads_no_better_than_chance() -> None:
    features = clusters(5)
    same = Features(torch.full_like(features.train, 3.0), features.train_labels, torch.full_like(features.test, 3.0),
                    features.test_labels)  # fmt: skip
    assert linear_probe(same) == chance(same)
    assert knn_probe(same) < 1 / CLASSES + 4 * standard_error(1 / CLASSES, 400)  # 4 standard errors, n = 400 rows


def test_a_constant_feature_and_scale_change_nothing() -> None:
    features = clusters(6)

    def widened(z: torch.Tensor) -> torch.Tensor:
        return torch.cat([z, torch.full((len(z), 1), 0.1)], dim=1)

    more = Features(widened(features.train), features.train_labels, widened(features.test), features.test_labels)
    scaled = Features(1024 * features.train, features.train_labels, 1024 * features.test, features.test_labels)
    assert linear_probe(more) == linear_probe(features)
    assert linear_probe(scaled) == linear_probe(features)  # a power of two: the same floats after standardising


@pytest.mark.parametrize(
    ("train", "labels", "words"),
    [
        (torch.zeros(4, 3, 3), torch.zeros(4), "give (n, d)"),
        (torch.zeros(4, 3), torch.zeros(5), "give (n, d)"),
        (torch.full((4, 3), torch.nan), torch.zeros(4), "NaN"),
        (torch.zeros(0, 3), torch.zeros(0), "give (n, d)"),
    ],
)
def test_bad_features_get_one_sentence(train: torch.Tensor, labels: torch.Tensor, words: str) -> None:
    with pytest.raises(SettingError) as error:
        Features(train, labels.long(), torch.zeros(2, 3), torch.zeros(2).long())
    assert words in str(error.value)


def test_one_image_is_too_few() -> None:
    one = Features(torch.zeros(1, 2), torch.zeros(1).long(), torch.zeros(1, 2), torch.zeros(1).long())
    with pytest.raises(SettingError, match="at least 2"):
        linear_probe(one)
