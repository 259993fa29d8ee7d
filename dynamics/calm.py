"""scipy's DOP853 where states within its steps are asked for: steps short enough that those are as good as the ones at their ends."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.integrate import DOP853

# h rho of the largest step: from 5.5 on the dense output magnifies what is left of a fast mode (10 times at 6, 560 times at 8),
# while the steps themselves are stable up to 6.1, and the true radius may be a tenth more than the measured one
CALM = 5.0
# steps from one iteration towards rho to the next: from the first on, as one too long magnifies what is left of a fast mode where
# no stage shows it
GLANCE = 3
NUDGE = 2.0**-26  # of ‖y‖, the difference from which the Jacobian's action is read: half of the digits


class CalmDOP853(DOP853):
    """`scipy.integrate.DOP853` with h rho <= CALM, rho the spectral radius by a power iteration that goes on as the steps do. Integrated."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._steps = 0
        self._fast = np.random.default_rng(0).standard_normal(self.n)  # the Jacobian's fastest direction, by and by

    def _step_impl(self):  # as its parent's
        if self._steps % GLANCE == 0:
            rho = self._radius()
            self.max_step = CALM / rho if 0 < rho < np.inf else np.inf
        self._steps += 1
        return super()._step_impl()

    def _radius(self) -> float:
        """|J v| / |v| of the direction v that the last time left, which becomes J v. 1 evaluation."""
        nudge = NUDGE * float(np.linalg.norm(self.y)) or NUDGE
        pushed = (self.fun(self.t, self.y + nudge * self._fast / np.linalg.norm(self._fast)) - self.f) / nudge
        rho = float(np.linalg.norm(pushed))
        if 0 < rho < np.inf:
            self._fast = pushed
        return rho
