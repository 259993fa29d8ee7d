"""Cases of losses that predict one view from the other."""

from __future__ import annotations

from functools import partial

import numpy as np
from loss_case import ONE, REF, Case, tensor
from loss_oracles import cosine, mae, mask_of, mean_square, power_loss, smooth_l1

import full_models.losses as L


def _mae(z, w, norm):
    return L.mae(z, w, mask=tensor(mask_of(z.shape[-2] if z.ndim > 1 else 1), z), unit_patches=norm)


PREDICTION = [
    Case("invariance", L.invariance, mean_square, mutants={"half": partial(mean_square, divide=2)}),
    Case(
        "negative_cosine",
        L.negative_cosine,
        cosine,
        scale_free=True,
        mutants={"sign": partial(cosine, factor=1.0), "2x": partial(cosine, factor=-2.0)},
    ),
    Case(
        "negative_cosine reference",
        partial(L.negative_cosine, **REF),
        partial(cosine, floor=1e-8),
        scale_free=True,
        mutants={"sign": partial(cosine, factor=1.0)},
    ),
    Case("predictor_mse", L.predictor_mse, mean_square, mutants={"half": partial(mean_square, divide=2)}),
    Case(
        "predictor_mse unit",
        partial(L.predictor_mse, unit=True),
        partial(cosine, factor=-2.0, shift=2.0),
        scale_free=True,
        mutants={"plain": mean_square, "half": partial(cosine, shift=1.0)},
    ),
    Case(
        "predictor_mse unit reference",
        partial(L.predictor_mse, unit=True, **REF),
        partial(cosine, factor=-2.0, shift=2.0, floor=1e-6),
        scale_free=True,
        mutants={"half": partial(cosine, shift=1.0)},
    ),
    Case("jepa", partial(L.jepa, M=3), lambda z, w: np.sum((z - w) ** 2) / 3, mutants={"mean": mean_square}),
    Case(
        "jepa reference",
        partial(L.jepa, beta=0.8, **REF),
        smooth_l1,
        rotation=False,
        **ONE,
        mutants={"beta": partial(smooth_l1, beta=1.0), "no norm": partial(smooth_l1, norm=False)},
    ),
    Case(
        "v_jepa",
        L.v_jepa,
        lambda z, w: np.sum(np.abs(z - w)) / len(z),
        rotation=False,
        mutants={"squares": mean_square},
    ),
    Case(
        "v_jepa reference",
        partial(L.v_jepa, p=1.5, reg=0.5, **REF),
        power_loss,
        least=2,
        rotation=False,
        **ONE,
        mutants={
            "p": partial(power_loss, p=1.0),
            "no 1/p": partial(power_loss, divide=False),
            "ddof": partial(power_loss, ddof=0),
        },
    ),
    Case(
        "mae",
        partial(_mae, norm=False),
        partial(mae, norm=False),
        permutation=False,
        mutants={"every patch": partial(mae, norm=False, every=True)},
    ),
    Case(
        "mae unit patches",
        partial(_mae, norm=True),
        mae,
        permutation=False,
        rotation=False,
        **ONE,
        mutants={"ddof": partial(mae, ddof=0), "raw": partial(mae, norm=False)},
    ),
]
