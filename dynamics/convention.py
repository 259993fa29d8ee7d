"""Convention: what a torch optimiser's numbers mean in flow time, so that "eta" never means two things.

Flow time belongs to J = ½ E‖·‖². A loss c E‖·‖² (the note: c = 1; Tian et al.: c = ½; the symmetrised normalised
loss of SimSiam in its small-residual limit: c = ½) stepped with learning rate lr and heavy-ball momentum mu moves,
per step,

    t      2 c lr / (1 - mu)
    eta    coupled decay wd (torch SGD `weight_decay`: g += wd w):        wd / (2 c)
           decoupled decay (AdamW-like: w *= 1 - lr wd after the step):   wd (1 - mu) / (2 c)
           bare decay (w *= 1 - wd, no learning rate; `predictor_wd`):    wd (1 - mu) / (2 c lr)
    beta   EMA coefficient m (V <- m V + (1 - m) W):                      (1 - m) (1 - mu) / (2 c lr)

Each is the leading order in lr; the errors are O(lr). Exact as a map of rates; the flow itself is the limit lr -> 0.
Source: Tian et al. 2021 section 3 (alpha beta = 1 - gamma_a); their "eta_bar = alpha eta" is the bare decay, not
torch's `weight_decay` (a trap: 33 to 100 times apart at their learning rates).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

DECAYS = ("coupled", "decoupled", "bare")


@dataclass(frozen=True)
class Convention:
    """An optimiser as its code writes it; the properties are rates per unit of flow time (t has no unit). Raises ValueError."""

    prefactor: float = 1.0
    lr: float = 0.01
    momentum: float = 0.0
    weight_decay: float = 0.0
    decay: str = "coupled"
    ema: float | None = None

    def __post_init__(self) -> None:
        for name in ("prefactor", "lr", "momentum", "weight_decay", "ema"):
            value = getattr(self, name)
            if value is not None and not math.isfinite(value):
                raise ValueError(f"{name} is {value}: give a finite number")
        if self.prefactor <= 0 or self.lr <= 0 or not 0 <= self.momentum < 1 or self.weight_decay < 0:
            raise ValueError("give prefactor > 0, lr > 0, 0 <= momentum < 1 and weight_decay >= 0")
        if self.decay not in DECAYS:
            raise ValueError(f"decay {self.decay!r} is not one of {', '.join(DECAYS)}")
        if self.ema is not None and not 0 <= self.ema <= 1:
            raise ValueError("the EMA coefficient lies in [0, 1]")
        if not self.time_per_step > 0 or not all(
            math.isfinite(x) for x in (self.time_per_step, self.eta, self.beta or 0.0)
        ):
            raise ValueError(
                f"prefactor {self.prefactor} and lr {self.lr} leave no finite rates: give numbers of ordinary size"
            )

    @property
    def time_per_step(self) -> float:
        """Flow time t that one optimiser step advances."""
        return 2 * self.prefactor * self.lr / (1 - self.momentum)

    @property
    def eta(self) -> float:
        """Weight decay per unit t."""
        step_decay = {
            "coupled": self.lr
            * self.weight_decay
            / (1 - self.momentum),  # rides in the gradient: momentum amplifies it
            "decoupled": self.lr * self.weight_decay,
            "bare": self.weight_decay,
        }[self.decay]
        return step_decay / self.time_per_step

    @property
    def beta(self) -> float | None:
        """Rate of the EMA target per unit t; None: the target is the online network."""
        return None if self.ema is None else (1 - self.ema) / self.time_per_step

    @staticmethod
    def of_flow(t_step: float, eta: float = 0.0, beta: float | None = None) -> Convention:
        """The plain-SGD convention (c = ½, mu = 0, coupled decay) that advances t_step a step at rates eta, beta.

        Raises ValueError unless t_step > 0, eta >= 0 and 0 <= beta t_step <= 1, all finite.
        """
        if not (0 < t_step < math.inf and 0 <= eta < math.inf):
            raise ValueError(f"t_step = {t_step}, eta = {eta}: give finite t_step > 0 and eta >= 0")
        if beta is not None and not 0 <= beta * t_step <= 1:
            raise ValueError(f"beta = {beta}: one step of t_step = {t_step} must move the target by a share in [0, 1]")
        ema = None if beta is None else 1 - beta * t_step
        return Convention(prefactor=0.5, lr=t_step, weight_decay=eta, ema=ema)
