"""SGD ensembles to test: Settings of every variant of the step, minibatches that autograd sees too, and how far runs are apart."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import numpy as np
import torch

from dynamics.run import Run
from dynamics.setting import GaussianViews, ImageViews, Network, Setting, Training
from full_models.batches import Moments, Pairs, Shape, batch_of
from full_models.pairs import sample_pairs

STEPS = 12
BASE = Setting(
    views=GaussianViews((1.0, 0.7, 0.4), (0.2, 0.3, 0.1), angle=0.4, twist=0.5),
    network=Network(k=2),
    training=Training(t_end=0.05 * STEPS, points=STEPS + 1, lr=0.05, batch=5),
    seed=3,
)
VARIANTS = {
    "predictor": BASE,
    "wide": BASE.replace(network__k=5),
    "alpha_p": BASE.replace(training__alpha_p=1.7),
    "decay": BASE.replace(training__eta=0.3),
    "two decays": BASE.replace(training__eta=0.3, training__eta_p=0.1, training__alpha_p=0.6),
    "decay of P alone": BASE.replace(training__eta=0.0, training__eta_p=0.4),
    "ema": BASE.replace(objective__target="ema", network__tau0=0.5, training__beta=0.7),
    "symmetrised": BASE.replace(objective__symmetrised=True),
    "symmetrised ema": BASE.replace(objective__symmetrised=True, objective__target="ema", training__beta=0.7),
    "through the target": BASE.replace(objective__stop_gradient=False),
    "through, symmetrised": BASE.replace(objective__stop_gradient=False, objective__symmetrised=True),
    "symmetric P": BASE.replace(objective__predictor="symmetric"),
    "symmetric P, decay, alpha_p": BASE.replace(
        objective__predictor="symmetric", training__eta=0.3, training__alpha_p=1.7
    ),
    "ema, decay": BASE.replace(objective__target="ema", network__tau0=0.5, training__beta=0.7, training__eta=0.3),
    "no predictor": BASE.replace(objective__predictor="none"),
    "invariance": BASE.replace(objective__loss="invariance", training__eta=0.1),
    "invariance, whatever P is": BASE.replace(objective__loss="invariance", objective__predictor="symmetric"),
    "images": BASE.replace(views=ImageViews(d=3, count=64)),
}
FORMS = {"pairs": 2, "moments": 40}  # a batch below d and one above 2d: the two forms of the gradient


@dataclass
class SamePairs:
    """The minibatches of the ladder's sgd rung, as a stream of the ensemble."""

    setting: Setting
    replica: int
    dtype: Any = np.float64
    shape: Shape = field(init=False)

    def __post_init__(self) -> None:
        self.shape, self.pairs = Shape.of(self.setting), sample_pairs(self.setting, [self.replica])

    def take(self, steps: int) -> Pairs | Moments:
        x, y = (M.mT.numpy() for M in torch.cat(list(islice(self.pairs, steps))).chunk(2, -1))
        return batch_of(self.shape, np.ascontiguousarray(x, self.dtype), np.ascontiguousarray(y, self.dtype))


def gap(run: Run, other: Run) -> float:
    """Largest difference of W, P, V at any recorded step, relative to the largest weight."""
    return max(float(np.abs(run[M] - other[M]).max() / np.abs(other[M]).max()) for M in "WPV")


# 12 steps of ~10 products of at most 5 x 40 numbers: 12 · 10 · 40 roundings of eps / 2 if all had one sign
ROUNDING = 12 * 10 * 40 * 2.0**-53
