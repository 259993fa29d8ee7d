"""When a run records, and by how many steps of which size it gets there: one schedule for every network that is trained."""

from __future__ import annotations

import math

import numpy as np

from dynamics.run import Array
from dynamics.setting import Setting, SettingError

MOST_STEPS = 10**8  # some hours by autograd, minutes of a compiled ensemble: what is asked for beyond is a slip


def schedule(setting: Setting, lr: float | None) -> tuple[Array, int, float]:
    """(times (T,), steps an interval, size of a step): equal steps of at most lr that land on every recorded time.

    lr: None is training.lr. Raises SettingError for an lr that is no step, and for more than MOST_STEPS steps in all.
    """
    training = setting.training
    lr = training.lr if lr is None else lr
    if not (math.isfinite(lr) and lr > 0):
        raise SettingError(f"lr is {lr}: give a finite step > 0 in flow time")
    intervals = training.points - 1
    if intervals < 1:
        return np.zeros(1), 0, lr
    dt = training.t_end / intervals
    steps = max(1.0, dt / lr - 1e-9)  # 1e-9: dt / lr = 50 + rounding is 50 steps; may be inf
    if steps * intervals > MOST_STEPS:
        raise SettingError(
            f"t_end = {training.t_end:g} takes {steps * intervals:.2g} steps of {min(lr, dt):.2g}: give a shorter "
            "training.t_end, a larger training.lr or fewer training.points"
        )
    return np.linspace(0.0, training.t_end, training.points), math.ceil(steps), dt / math.ceil(steps)
