"""A matrix flow as the compiled steppers take it: moments in their own basis, rates, starts; and its integration.

`dynamics.matrix_flow` makes such problems from W0, P0, A and C, and gives the answer back its shape.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from dynamics import matrix_clock as clock
from dynamics import matrix_driver as driver
from dynamics.matrix_explicit import TABLEAU
from dynamics.matrix_field import INFO_NCE, INFO_NCE_SAMPLES, NO_STOP_GRADIENT, PREDICTOR, narrow
from dynamics.matrix_input import FlowError, real
from dynamics.matrix_lanes import LEFT, advance_lanes
from dynamics.matrix_moments import Moments
from dynamics.matrix_samples import slim
from dynamics.run import Array
from dynamics.solver import ATOL, BLOW_UP, RTOL, SolverError
from dynamics.stabilised_tableau import table

TINY = float(np.finfo(float).tiny)  # the least atol: so an error of 0 where the tolerance would be 0 is 0, and no NaN
METHODS = {"auto": driver.AUTO, "DOP853": driver.EXPLICIT, "RKL4": driver.STABILISED}
MAX_EVALUATIONS = 2_000_000  # hours at d = 512: whoever gets here has asked for more than the flow can give
LANE_STATES = (
    2 * 24**2
)  # entries of a state up to which lanes beat BLAS: 1.2x at d = 24, where four members leave the cache


@dataclass(frozen=True)
class Stepping:
    """How to integrate: each member to rtol and atol (root mean square over its own entries), by a method.

    method: "DOP853" (explicit, order 8), "RKL4" (stabilised explicit, order 4, for stiff spectra), or "auto": DOP853, with
    the spectral radius of the Jacobian measured on the way, and RKL4 while stability holds DOP853's step and RKL4 is the
    cheaper. atol is what entries near 0 may be wrong by; 0 asks for rtol of every entry, which one that passes through 0, or is
    rounding of others, may not be able to give. Raises FlowError.
    """

    rtol: float = RTOL
    atol: float = ATOL
    method: str = "auto"

    def __post_init__(self) -> None:
        if not isinstance(self.method, str) or self.method not in METHODS:
            raise FlowError(f"method {self.method!r} is not one of {', '.join(METHODS)}")
        rtol, atol = real("rtol", self.rtol), real("atol", self.atol)
        if rtol.ndim or atol.ndim or not (0 < rtol < 1 and 0 <= atol < np.inf):
            raise FlowError(f"rtol = {self.rtol}, atol = {self.atol}: give one number 0 < rtol < 1 and one atol >= 0")


DEFAULT = Stepping()


@dataclass(frozen=True)
class Facts:
    """How a flow was made, per member (B,): evaluations of the field, accepted steps, those of them by RKL4, the largest
    spectral radius of the Jacobian that was measured (0: never asked for), and the time of the first RKL4 step (inf: none).

    form: "matrix" or "modes" (aligned start: every mode a scalar system of its own; then B counts modes), and the
    products a field evaluation costs, each of 2 k d min(k, d)-like size. passages (B, E): see `Problem.solve`.
    """

    form: str
    products: int
    evaluations: Array
    steps: Array
    stabilised_steps: Array
    spectral_radius: Array
    switched_at: Array
    passages: Array

    @property
    def method(self) -> str:
        """ "DOP853", "RKL4", or "DOP853 then RKL4" where stability made some member change over."""
        some, every = bool((self.stabilised_steps > 0).any()), bool((self.stabilised_steps == self.steps).all())
        return "RKL4" if some and every else "DOP853 then RKL4" if some else "DOP853"

    def of(self, member: int) -> Facts:
        """Those of one member of form "matrix"."""
        arrays = {name: X[member : member + 1] for name, X in vars(self).items() if isinstance(X, np.ndarray)}
        return replace(self, **arrays)


@dataclass(frozen=True)
class Problem:
    """kind (whose velocity, `dynamics.matrix_field`), sizes k, d, whether the target is an EMA and the predictor kept
    symmetric, moments, rates (B, 4), starts y0 (B, n), and the pairs of the flow on samples, arranged for k outputs."""

    kind: int
    k: int
    d: int
    moments: Moments
    rates: Array
    y0: Array
    ema: bool = False
    symmetric: bool = False
    samples: tuple[Array, Array] = field(default_factory=lambda: (np.zeros((0, 0)), np.zeros((0, 0))))

    def solve(self, t: Array, how: Stepping, levels: tuple[float, ...] = ()) -> tuple[Array, Facts]:
        """(y (B, T, n), facts) at the times t (T,), t[0] the start. facts.passages (B, E): the first times at which
        ‖W‖ / ‖W(t[0])‖ passes each of the levels (E,), by a root of the dense output; NaN: never.

        Small members go side by side through `matrix_lanes`; whatever those leave, and all else, one by one through
        `matrix_driver`. Every way it can fail becomes a sentence: FlowError, SolverError.
        """
        t = real("t", t)
        if t.ndim != 1 or not len(t) or not np.isfinite(t).all() or (np.diff(t) <= 0).any():
            raise FlowError("t must be a rising row of finite times, t[0] the start")
        if not np.isfinite(self.y0).all():
            raise FlowError("the start has an entry that is not finite: check W0, P0 and V0")
        B, n = self.y0.shape
        out, stats, passages = np.empty((B, len(t), n)), np.empty((B, 7)), np.full((B, len(levels)), np.nan)
        m, rtol, atol, todo = self.moments, max(how.rtol, 1e-14), max(how.atol, TINY), np.arange(B)
        goals = np.log(np.array(levels, float))
        a, c, C = (np.ascontiguousarray(np.broadcast_to(M, (B, *M.shape[1:]))) for M in (m.a, m.c, m.C))
        if self._fits_lanes(len(t), how):
            advance_lanes(
                TABLEAU, self.kind, self.k, self.d, self.ema, a, c, C, self.rates, self.y0, t, out, goals, passages,
                rtol, atol, how.method == "auto", BLOW_UP, MAX_EVALUATIONS, stats,
            )  # fmt: skip
            todo = np.flatnonzero(stats[:, clock.STATUS] == LEFT)
        driver.advance_all(
            TABLEAU, table(), self.kind, self.k, self.d, self.ema, self.symmetric, a, c, C, self.rates, *self.samples, todo,
            self.y0.copy(), t, out, goals, passages, rtol, atol, METHODS[how.method],
            BLOW_UP, MAX_EVALUATIONS, stats,
        )  # fmt: skip
        _raise_failures(stats, how.rtol)
        diagonal = m.C.size == 0  # then Wᵀ C is no product
        products = {
            PREDICTOR: 3 if diagonal else 4,
            NO_STOP_GRADIENT: 3 if diagonal else 6,
            INFO_NCE: 3 if narrow(self.k, self.d) and not diagonal else 2,
            INFO_NCE_SAMPLES: 7 if slim(self.k, self.d) else 8 if len(self.samples[0]) > self.d else 6,
        }[self.kind]
        columns = stats.T.copy()
        return out, Facts(
            "matrix", products, columns[clock.EVALUATIONS], columns[clock.STEPS], columns[clock.STABLE_STEPS],
            columns[clock.RADIUS], columns[clock.SWITCH], passages,
        )  # fmt: skip

    def _fits_lanes(self, times: int, how: Stepping) -> bool:
        B, n = self.y0.shape
        plain = self.kind in (PREDICTOR, NO_STOP_GRADIENT) and not self.symmetric and how.method != "RKL4"
        return plain and B > 1 and times > 1 and n <= LANE_STATES


def _raise_failures(stats: Array, rtol: float) -> None:
    bad = np.flatnonzero(stats[:, clock.STATUS] != clock.DONE)
    if not len(bad):
        return
    i, when = int(bad[0]), stats[bad[0], clock.WHEN]
    who = f"member {i} of {len(stats)}" if len(stats) > 1 else "the flow"
    what = {
        clock.BLEW_UP: f"blew up near t = {when:.4g} (a weight passed {BLOW_UP:g}): shorten t or start smaller",
        clock.TOO_SMALL: f"could take no step at t = {when:.4g}: the field is not smooth there at rtol = {rtol:g}; loosen rtol, or "
        "give a larger atol",
        clock.TOO_MANY: f"needed more than {MAX_EVALUATIONS} evaluations by t = {when:.4g}: give a smaller t_end or "
        "smaller rates (from Python, or a looser rtol, a larger atol, or method='RKL4')",
    }[int(stats[i, clock.STATUS])]
    raise SolverError(f"{who} {what}")
