"""scipy's DOP853 where states within its steps are asked for: steps short enough that those are as good as the ones at their ends."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.integrate import DOP853

# h rho of the largest step: from 5.5 on the dense output magnifies what is left of a fast mode (10 times at 6, 560 times at 8),
# while the steps themselves are stable up to 6.1, and the true radius may be a tenth more than the measured one
CALM = 5.0
LOOK_EVERY = 20  # accepted steps from one measurement of rho to the next, where the step is held by it
NUDGE = 2.0**-26  # of ‖y‖, the difference from which the Jacobian's action is read: half of the digits
SETTLED, MOST = 0.02, 30  # of a power iteration: the change between two radii that ends it; the most evaluations


class CalmDOP853(DOP853):
    """`scipy.integrate.DOP853` with h rho <= CALM. Integrated.

    rho, the spectral radius, is measured after LOOK_EVERY steps and, where it holds the step, again every so many. Where it rises
    between, error control shortens the step as ever.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._age = 0
        self._fast = np.random.default_rng(0).standard_normal(self.n)  # the Jacobian's fastest direction, nearly

    def _step_impl(self):  # as its parent's
        held = self.max_step < np.inf
        if self._age >= LOOK_EVERY and (not held or self.h_abs >= self.max_step):
            rho = self._measured()
            self.max_step, self._age = CALM / rho if rho > 0 else np.inf, 0
        self._age += 1
        return super()._step_impl()

    def _measured(self) -> float:
        """rho by power iteration at y, from the direction found before; 0 where it is no number."""
        nudge, rho = NUDGE * float(np.linalg.norm(self.y)) or NUDGE, 0.0
        for _ in range(MOST):
            step = nudge * self._fast / np.linalg.norm(self._fast)
            pushed = (self.fun(self.t, self.y + step) - self.f) / nudge
            before, rho = rho, float(np.linalg.norm(pushed))
            if rho == 0 or not np.isfinite(rho):
                return 0.0
            self._fast = pushed
            if abs(rho - before) <= SETTLED * rho:
                break
        return rho
