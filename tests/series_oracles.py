"""Power series in exact fractions, and the solution of a field by them."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np

from dynamics.taylor_source import DEGREE


class Series:
    """A power series in t, in exact fractions: c its coefficients, size the sums of absolute values behind each, to which its
    rounding in floating point is relative."""

    def __init__(self, c: list[Fraction], size: list[Fraction] | None = None) -> None:
        self.c, self.size = c, [abs(x) for x in c] if size is None else size

    def like(self, other: Any) -> Series:
        return other if isinstance(other, Series) else Series([Fraction(other)] + [Fraction(0)] * (len(self.c) - 1))

    def __add__(self, other: Any) -> Series:
        o = self.like(other)
        return Series(*([a + b for a, b in zip(u, v, strict=True)] for u, v in ((self.c, o.c), (self.size, o.size))))

    def __mul__(self, other: Any) -> Series:
        o, orders = self.like(other), range(len(self.c))
        return Series(
            *([sum((u[i] * v[k - i] for i in range(k + 1)), Fraction(0)) for k in orders]
              for u, v in ((self.c, o.c), (self.size, o.size)))
        )  # fmt: skip

    __radd__, __rmul__ = __add__, __mul__

    def __pos__(self) -> Series:
        return self

    def __neg__(self) -> Series:
        return Series([-a for a in self.c], self.size)

    def __sub__(self, other: Any) -> Series:
        return self + -self.like(other)

    def __rsub__(self, other: Any) -> Series:
        return -self + other

    def __truediv__(self, other: Any) -> Series:
        o, c, size = self.like(other), [], []
        for k in range(len(self.c)):
            c.append((self.c[k] - sum((o.c[i] * c[k - i] for i in range(1, k + 1)), Fraction(0))) / o.c[0])
            behind = sum((o.size[i] * size[k - i] for i in range(1, k + 1)), self.size[k] + o.size[0] * abs(c[k]))
            size.append(behind / abs(o.c[0]))
        return Series(c, size)

    def __rtruediv__(self, other: Any) -> Series:
        return self.like(other) / self

    def __pow__(self, power: int) -> Series:
        out = self.like(1)
        for _ in range(abs(power)):
            out = out * self
        return 1 / out if power < 0 else out


def solution(field: Callable[..., Any], y: list[float], q: list[float]) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients of y_j(t), and their sizes, (n, DEGREE + 1): y = y(0) + ∫ field(y) dt, one more coefficient each time."""
    states = [Series([Fraction(x)]) for x in y]
    for k in range(DEGREE):
        parameters = [Series([Fraction(x)] + [Fraction(0)] * k) for x in q]
        velocity = field(*states, *parameters)
        for x, v in zip(states, (states[0].like(v) for v in velocity), strict=True):
            x.c.append(v.c[k] / (k + 1))
            x.size.append(v.size[k] / (k + 1))
    return np.array([x.c for x in states], dtype=float), np.array([x.size for x in states], dtype=float)
