"""The matrix flows of the benchmark as problems: starts, moments, the flow as printed and with shared products; and draws of them.

`printed` is the flow letter by letter from its source, `shared` what a careful user would write: each bracket once. Both
take and return states in the order of `starts`, W first. `own` is the project's flow.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from dynamics import predictor
from dynamics.matrix_flow import MatrixFlow, Stepping, info_nce_flow, info_nce_sample_flow, predictor_flow

Array = NDArray[np.float64]
States = tuple[Any, ...]


class Problem(Protocol):
    """What every solver here can take."""

    @property
    def starts(self) -> tuple[Array, ...]: ...

    @property
    def printed(self) -> Callable[..., States]: ...

    @property
    def shared(self) -> Callable[..., States]: ...


class Flow(Problem, Protocol):
    """A problem that `dynamics.matrix_flow` integrates."""

    def own(self, t: Array, stepping: Stepping) -> MatrixFlow: ...

    def gflop(self, products: int) -> float:
        """10^9 operations in the products of one evaluation by the project."""
        ...


@dataclass(frozen=True)
class Square:
    """A flow all of whose matrices are d x d."""

    W0: Array

    def gflop(self, products: int) -> float:
        return products * 2e-9 * self.W0.shape[-1] ** 3


@dataclass(frozen=True)
class Predictor(Square):
    """Predictor flow (Tian et al. 2021, Lemma 1) with stop-gradient, or without where B = E[x⁺x⁺ᵀ] is given; V0: an EMA target of
    rate beta, None: the online one."""

    P0: Array
    A: Array
    C: Array
    eta: float = 0.0
    V0: Array | None = None
    beta: float = 0.0
    B: Array | None = None

    @property
    def starts(self) -> tuple[Array, ...]:
        return (self.W0, self.P0) if self.V0 is None else (self.W0, self.P0, self.V0)

    def printed(self, W: Any, P: Any, V: Any = None) -> States:
        """dW = Pᵀ (-P W A + V Cᵀ) - eta W, dP = (-P W A + V Cᵀ) Wᵀ - eta P with the bracket written twice: eight products.
        Without stop-gradient dW gets + P W C - W B: eleven."""
        target = W if V is None else V
        dW = P.T @ (-P @ W @ self.A + target @ self.C.T) - self.eta * W
        dP = (-P @ W @ self.A + target @ self.C.T) @ W.T - self.eta * P
        if self.B is not None:
            dW = dW + P @ W @ self.C - W @ self.B
        return (dW, dP) if V is None else (dW, dP, self.beta * (W - V))

    def shared(self, W: Any, P: Any, V: Any = None) -> States:
        """With the bracket written once: five products, eight without stop-gradient."""
        dW, dP = predictor.field(W, P, W if V is None else V, self.A, self.C, 1.0, self.eta, self.eta)
        if self.B is not None:
            dW = dW + predictor.target_gradient(W, P, self.B, self.C)
        return (dW, dP) if V is None else (dW, dP, self.beta * (W - V))

    def own(self, t: Array, stepping: Stepping) -> MatrixFlow:
        return predictor_flow(
            self.W0, self.P0, self.A, self.C, t, V0=self.V0, B=self.B, eta=self.eta, beta=self.beta, stepping=stepping
        )


@dataclass(frozen=True)
class InfoNCE(Square):
    """InfoNCE of a linear encoder with infinitely many negatives, Gaussian views, temperature 1; C symmetric."""

    A: Array
    C: Array

    @property
    def starts(self) -> tuple[Array, ...]:
        return (self.W0,)

    def printed(self, W: Any) -> States:
        """dW = 2 W C - 2 W A Wᵀ W A, from left to right: five products."""
        return (2 * W @ self.C - 2 * W @ self.A @ W.T @ W @ self.A,)

    def shared(self, W: Any) -> States:
        """With W A formed once: four products."""
        WA = W @ self.A
        return (2 * W @ self.C - 2 * (WA @ W.T) @ WA,)

    def own(self, t: Array, stepping: Stepping) -> MatrixFlow:
        return info_nce_flow(self.W0, self.A, self.C, t, stepping=stepping)


@dataclass(frozen=True)
class InfoNCESamples:
    """InfoNCE of a linear encoder on N fixed pairs X, X⁺ (N, d), temperature 1."""

    W0: Array
    X: Array
    X_plus: Array

    @property
    def starts(self) -> tuple[Array, ...]:
        return (self.W0,)

    def printed(self, W: Any) -> States:
        """dW of -(1/N) Σ_i log softmax_i(z_i · z⁺_j), by hand: seven products. Already with each bracket once."""
        Z, Z_plus = self.X @ W.T, self.X_plus @ W.T
        scores = Z @ Z_plus.T
        G = np.exp(scores - scores.max(1, keepdims=True))
        G /= G.sum(1, keepdims=True)
        G[np.diag_indices_from(G)] -= 1
        return (-((G @ Z_plus).T @ self.X + (G.T @ Z).T @ self.X_plus) / len(self.X),)

    shared = printed

    def own(self, t: Array, stepping: Stepping) -> MatrixFlow:
        return info_nce_sample_flow(self.W0, self.X, self.X_plus, t, stepping=stepping)

    def gflop(self, products: int) -> float:
        """Of 4 products of d x d x d, 2 of N x d x d and 2 of N x (N - d) x d, N >= d."""
        N, d = self.X.shape
        return 2e-9 * (4 * d**3 + 2 * N * d * d + 2 * N * (N - d) * d)


@dataclass(frozen=True)
class Linear:
    """The invariance flow dW = -W S."""

    W0: Array
    S: Array

    @property
    def starts(self) -> tuple[Array, ...]:
        return (self.W0,)

    def printed(self, W: Any) -> States:
        return (-W @ self.S,)

    shared = printed


SPAN = 8.0  # of flow time, of all but the stiff flows
SLOWEST, FASTEST = 0.1, 1.2  # rates of the closed form
EMA, FREE = "EMA target", "no stop-gradient"
POPULATION, SAMPLES = "InfoNCE, population", "InfoNCE, 2 d samples"


def draw(case: str, d: int, seed: int = 0) -> Any:
    """Starts of order one (0.7 / √d an entry), moments of order one. One draw of a case, see `benchmarks.matrix`."""
    rng = np.random.default_rng([seed, d])
    rotation = lambda: np.linalg.qr(rng.standard_normal((d, d)))[0]  # noqa: E731
    W0, P0 = (0.7 * rng.standard_normal((d, d)) / np.sqrt(d) for _ in range(2))
    U = rotation()
    X = (U * np.linspace(0.3, 2.0, d)) @ U.T
    if case == "closed form":
        S = (U * np.linspace(SLOWEST, FASTEST, d)) @ U.T
        return Linear(W0, (S + S.T) / 2)
    if case in ("commuting", "aligned"):
        A, C = X + 0.3 * np.eye(d), X
    else:
        Q = rotation()
        twist = np.linalg.qr(np.eye(d) + 0.3 * rng.standard_normal((d, d)) / np.sqrt(d))[0]
        twist = twist * np.sign(np.diag(twist))  # near the identity; a wide one makes some flows blow up
        A, C = X + (Q * rng.uniform(0, 0.5, d)) @ Q.T, X @ twist.T
    A = (A + A.T) / 2
    if case == POPULATION:
        return InfoNCE(W0, A, (C + C.T) / 2)
    if case == SAMPLES:
        x, noise = rng.standard_normal((2, 2 * d, d))
        # scores of order one: at those of the other starts, of order d, the softmax has settled and nothing moves
        return InfoNCESamples(W0 / np.sqrt(d), x * np.linspace(0.5, 1.5, d), x * np.linspace(0.5, 1.5, d) + 0.3 * noise)
    if case == "aligned":
        O = rotation()
        W0, P0 = (O * rng.uniform(0.2, 1.0, d)) @ U.T, (O * rng.uniform(0.2, 1.0, d)) @ O.T
    if case == FREE:
        told = C.T @ np.linalg.solve(A, C)
        return Predictor(W0, P0, A, C, 0.05, B=(told + told.T) / 2 + (Q * rng.uniform(0, 0.5, d)) @ Q.T)
    target = {"V0": 0.7 * rng.standard_normal((d, d)) / np.sqrt(d), "beta": 0.5} if case == EMA else {}
    return Predictor(W0, P0, A, C, 0.05, **target)
