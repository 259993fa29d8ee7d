"""Recipe: one training run as a few plain values; what a checkpoint and a record are made from."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from dynamics.setting import SettingError
from full_models.training.optimisers import OPTIMISERS, SCHEDULES

PRECISIONS = ("float32", "bf16")
WHOLE = {"count": 1, "width": 1, "dim": 1, "epochs": 1, "batch": 1, "records": 2, "seed": 0}  # field -> least value
MOST_RECORDS = 1_000_000  # rows are held in memory
SEED_BITS, SIZE_BITS = 64, 63  # of a whole number that torch takes as a seed, or as anything else
Plain = bool | int | float | str | None


class RecipeError(SettingError):
    """A Recipe that cannot mean anything, or that diverged; the message says what to write instead."""


@dataclass(frozen=True)
class Recipe:
    """method      a name of full_models.methods.METHODS; `options` go to its builder (tau, weights, ema, …)
    data, path     a data set by name (full_models.data) and where its files are, if not in their usual places
    count          how many of its training images are used (None: all), the first of an order drawn by `seed`
    encoder, width, dim    a name of ENCODERS (None: the method's own), its width, the embedding's dimension
    augmentation, strength    a name of AUGMENTATIONS and how strong it is (None: its own default)
    standardise    networks are fed views whose channels are centred and scaled by the mean and standard deviation of the
                   training images that are used; False: pixels in [0, 1], as augmentations see them in either case
    epochs, batch  an epoch is count // batch steps; the images left over wait for the next order
    optimiser      "sgd" (with `momentum`, coupled decay), "adamw" (decoupled decay) or "lars"; lr its rate
    schedule       "constant" or "cosine", after `warmup`, the share of all steps in which the rate rises linearly
    precision      "float32", or "bf16": networks under autocast, losses in float32
    channels_last, compile    memory layout of images and kernels; torch.compile of the encoder
    records        how many times, evenly over the steps and at both ends, observables are measured
    """

    method: str = "simclr"
    data: str = "digits"
    path: str | None = None
    count: int | None = None
    encoder: str | None = None
    width: int | None = None
    dim: int | None = None
    augmentation: str = "crop"
    strength: float | None = None
    standardise: bool = True
    epochs: int = 20
    batch: int = 256
    optimiser: str = "adamw"
    lr: float = 1e-3
    momentum: float = 0.9
    weight_decay: float = 1e-4
    schedule: str = "cosine"
    warmup: float = 0.05
    precision: str = "float32"
    channels_last: bool = False
    compile: bool = False
    records: int = 6
    seed: int = 0
    device: str = "cpu"
    options: Mapping[str, Plain] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, least in WHOLE.items():
            value = getattr(self, name)
            optional = name in ("count", "width", "dim")
            if not (optional and value is None) and (type(value) is not int or value < least):
                raise RecipeError(f"{name} is {value!r}: give a whole number >= {least}")
            bits = SEED_BITS if name == "seed" else SIZE_BITS
            if value is not None and value >= 2**bits:
                raise RecipeError(f"{name} is {value}: give one below 2^{bits}")
        if self.records > MOST_RECORDS:
            raise RecipeError(f"records is {self.records}: give at most {MOST_RECORDS}")
        for name, high in {"lr": math.inf, "weight_decay": math.inf, "momentum": 1.0, "warmup": 1.0}.items():
            value = getattr(self, name)
            if not (isinstance(value, (int, float)) and math.isfinite(value) and 0 <= value < high):
                raise RecipeError(f"{name} is {value!r}: give a finite number >= 0" + (" and < 1" if high == 1 else ""))
        if self.strength is not None and not isinstance(self.strength, (int, float)):
            raise RecipeError(f"strength is {self.strength!r}: give a number")
        if self.lr == 0:
            raise RecipeError("lr is 0, which trains nothing: give a rate > 0")
        for name, known in {"optimiser": OPTIMISERS, "schedule": SCHEDULES, "precision": PRECISIONS}.items():
            if getattr(self, name) not in known:
                raise RecipeError(f"{name} {getattr(self, name)!r} is unknown: choose {' or '.join(known)}")

    def to_dict(self) -> dict[str, Any]:
        """Plain values; Recipe(**recipe.to_dict()) is an equal Recipe."""
        return {**dataclasses.asdict(self), "options": dict(self.options)}

    def differs(self, other: Mapping[str, Any]) -> list[str]:
        """Names of the values in which `other`, a recipe's plain values, is another run than this one.

        Where a run is made is no part of which run it is, so that a checkpoint moves between machines.
        """
        mine = self.to_dict()
        return [name for name in mine if name not in ("device", "path") and mine[name] != other.get(name)]
