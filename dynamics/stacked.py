"""Settings stacked: their moments and rates side by side, and the velocity and the loss of their objective. Exact."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from dynamics import invariance, predictor
from dynamics.run import Array
from dynamics.setting import Setting
from dynamics.views import moments


@dataclass(frozen=True)
class Stacked:
    """Settings of one shape and objective: moments A, B, C (B, d, d), rates per unit of flow time (B, 1, 1)."""

    setting: Setting
    A: Array
    B: Array
    C: Array
    alpha_p: Array
    eta: Array
    eta_p: Array
    beta: Array

    @staticmethod
    def of(settings: Sequence[Setting]) -> Stacked:
        ms = [moments(s) for s in settings]
        trainings = [s.training for s in settings]

        def rate(values: Sequence[float]) -> Array:
            return np.array(values, float).reshape(-1, 1, 1)

        return Stacked(
            setting=settings[0],
            A=np.stack([m.A for m in ms]),
            B=np.stack([m.B for m in ms]),
            C=np.stack([m.C for m in ms]),
            alpha_p=rate([tr.alpha_p for tr in trainings]),
            eta=rate([tr.eta for tr in trainings]),
            eta_p=rate([tr.eta if tr.eta_p is None else tr.eta_p for tr in trainings]),
            beta=rate([tr.beta for tr in trainings]),
        )

    def over_times(self) -> Stacked:
        """The same for states (B, T, ...): a time axis behind the members'."""
        arrays = (self.A, self.B, self.C, self.alpha_p, self.eta, self.eta_p, self.beta)
        return Stacked(self.setting, *(X[:, None] for X in arrays))

    @property
    def optimal(self) -> bool:
        """Whether P is at its optimum at every state."""
        o = self.setting.objective
        return o.loss == "predictor" and o.predictor == "optimal"

    @cached_property
    def roots(self) -> tuple[Array, Array]:
        """R and K of `predictor.optimal_predictor`."""
        return predictor.roots(self.A, self.C)

    def velocity(self, W: Array, P: Array, V: Array) -> tuple[Array, Array, Array]:
        """(dW, dP, dV) (B, ...) of the objective; the target of an online network moves with W."""
        o = self.setting.objective
        if o.loss == "invariance":
            S = self.A + self.B - self.C - self.C.mT
            dW = invariance.field(W, S, self.eta)
            return dW, np.zeros_like(P), predictor.target_field(W, V, self.beta) if o.target == "ema" else dW
        V = V if o.target == "ema" else W
        if self.optimal:
            P = predictor.optimal_predictor(W, V, *self.roots)
        dW, dP = predictor.field(W, P, V, self.A, self.C, self.alpha_p, self.eta, self.eta_p)
        if not o.stop_gradient and o.target == "online":
            dW = dW + predictor.target_gradient(W, P, self.B, self.C)
        if o.predictor in ("none", "optimal"):
            dP = np.zeros_like(P)
        elif o.predictor == "symmetric":
            dP = predictor.symmetric_part(dP)
        return dW, dP, predictor.target_field(W, V, self.beta) if o.target == "ema" else dW

    def loss(self, W: Array, P: Array, V: Array) -> Array:
        """J = ½ E‖·‖² (...) at each state, from the moments."""
        if self.setting.objective.loss == "invariance":
            return predictor.loss(W, np.eye(W.shape[-2]), W, self.A, self.B, self.C)
        return predictor.loss(W, P, V, self.A, self.B, self.C)
