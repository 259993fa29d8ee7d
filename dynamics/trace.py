"""A rational field as a list of its operations, found by calling it with symbols in place of numbers. Exact.

What may stand in it: +, -, ×, ÷ and integer powers of states, parameters and numbers. A field that asks for more, a comparison
or a root, has no trace. Letters: y_j states, q_j parameters.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from operator import add, mul, sub, truediv
from typing import Any

import numpy as np

AGREE = 1e-9  # of a trace with its field in numbers: rounding, amplified by differences of nearly equal numbers
LEAST = float(np.finfo(float).tiny)  # of numbers with all their digits
MOST_TERMS = 2000  # a field with more is better called than written out
ARITHMETIC: dict[str, Callable[[float, float], float]] = {"+": add, "-": sub, "*": mul, "/": truediv}


class NotRational(Exception):
    """A symbol was asked for something that no rational function does."""


@dataclass(frozen=True, eq=False)
class Term:
    """One value: a "state" or "parameter" of that number, a "number", or "+", "-", "*", "/" of two terms.

    constant: no state enters it. Of a product with a constant factor that factor stands first.
    """

    op: str
    of: tuple[Any, ...]
    constant: bool
    trace: Trace = field(repr=False)

    __array_ufunc__ = None  # numpy's numbers leave the operation to the symbol

    @property
    def scaled(self) -> bool:
        """Is it constant × varying?"""
        return self.op == "*" and not self.constant and self.of[0].constant

    @property
    def product(self) -> bool:
        """Is it varying × varying, or anything ÷ varying?"""
        return self.op in "*/" and not self.constant and not self.scaled

    def __add__(self, other: Any) -> Term:
        return self.trace.term("+", self, other)

    def __radd__(self, other: Any) -> Term:
        return self.trace.term("+", other, self)

    def __sub__(self, other: Any) -> Term:
        return self.trace.term("-", self, other)

    def __rsub__(self, other: Any) -> Term:
        return self.trace.term("-", other, self)

    def __mul__(self, other: Any) -> Term:
        return self.trace.term("*", self, other)

    def __rmul__(self, other: Any) -> Term:
        return self.trace.term("*", other, self)

    def __truediv__(self, other: Any) -> Term:
        return self.trace.term("/", self, other)

    def __rtruediv__(self, other: Any) -> Term:
        return self.trace.term("/", other, self)

    def __neg__(self) -> Term:
        return -1.0 * self

    def __pos__(self) -> Term:
        return self

    def __pow__(self, power: Any) -> Term:
        """By repeated squaring."""
        if not isinstance(power, int | float | np.number) or power != int(power):
            raise NotRational
        count = int(power)
        if count < 0:
            return 1.0 / self**-count
        if count < 2:
            return self if count else self.trace.number(1.0)
        half = self ** (count // 2)
        return half * half * self if count % 2 else half * half

    def refuse(self, *_: Any) -> Any:
        """A branch taken on a symbol would be taken for all members."""
        raise NotRational

    # without these, == and truth would answer in silence
    __bool__ = __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = refuse  # pyright: ignore[reportAssignmentType]
    __hash__ = object.__hash__


@dataclass(frozen=True, eq=False)
class Trace:
    """terms: each after those it is of, none twice and none unused; velocity: the field's answers, among them."""

    terms: list[Term] = field(default_factory=list)
    velocity: list[Term] = field(default_factory=list)
    known: dict[Any, Term] = field(default_factory=dict, repr=False)

    def number(self, value: Any) -> Term:
        """A term stays what it is."""
        if isinstance(value, Term):
            return value
        if not isinstance(value, int | float | np.number):
            raise NotRational
        return self.kept("number", (float(value),), True)

    def term(self, op: str, left: Any, right: Any) -> Term:
        """left op right. Constant factors move outwards and to the front: products then share their varying factors. Numbers that
        leave the range of floats together are refused; parameters may, beyond 1e±150, where the field itself does not."""
        a, b = self.number(left), self.number(right)
        if a.op == b.op == "number":
            return self.number(together(op, a.of[0], b.of[0]))
        one = self.number(1.0)
        if op == "*" and (a is one or b is one):
            return b if a is one else a
        if not a.constant and b.constant and op in "*/":
            return self.term("*", b if op == "*" else self.term("/", 1.0, b), a)
        if op == "*" and b.scaled:
            return self.term("*", self.term("*", b.of[0], a), b.of[1])
        if op == "*" and a.scaled:
            return self.term("*", a.of[0], self.term("*", a.of[1], b))
        return self.kept(op, (a, b), a.constant and b.constant)

    def at(self, values: Sequence[float]) -> list[float]:
        """The velocity, from the numbers of the states and the parameters."""
        found, leaves = {}, iter(values)
        for x in self.known.values():
            if x.op in ARITHMETIC:
                found[x] = ARITHMETIC[x.op](found[x.of[0]], found[x.of[1]])
            else:
                found[x] = x.of[0] if x.op == "number" else next(leaves)
        return [found[x] for x in self.velocity]

    def kept(self, op: str, of: tuple[Any, ...], constant: bool) -> Term:
        """The term of this description, made if it is new."""
        names = [id(x) if isinstance(x, Term) else x for x in of]
        key = op, frozenset(names) if op in "+*" else tuple(names)
        if key not in self.known:
            if len(self.known) == MOST_TERMS:
                raise NotRational
            self.known[key] = Term(op, of, constant, self)
        return self.known[key]


def together(op: str, a: float, b: float) -> float:
    """a op b. Raises NotRational where it overflows, or a product or quotient underflows."""
    found = ARITHMETIC[op](a, b)
    if not math.isfinite(found) or (op in "*/" and a != 0 and abs(found) < LEAST):
        raise NotRational
    return found


def generic(count: int) -> list[float]:
    """Numbers to try a function with: no two alike, none of them 0 or 1."""
    return [0.31 + 0.7 * i / count for i in range(count)]


def traced(function: Callable[..., Any], n: int, m: int) -> Trace | None:
    """The trace of a field of n states and m parameters; None where it is no rational function.

    It is held against the field in numbers: one that asks for the type of what it is given would answer otherwise there.
    """
    trace = Trace()
    symbols = [trace.kept("state", (j,), False) for j in range(n)]
    symbols += [trace.kept("parameter", (j,), True) for j in range(m)]
    try:
        trace.velocity.extend(trace.number(x) for x in function(*symbols))
        numbers = generic(n + m)
        if not np.allclose(trace.at(numbers), np.array(function(*numbers), dtype=float), rtol=AGREE, atol=AGREE):
            return None
    except Exception:  # whatever a function does that meets a symbol where it expects a number
        return None
    used: set[Term] = set()
    reach(trace.velocity, used)
    trace.terms.extend(x for x in trace.known.values() if x in used)
    return trace


def reach(terms: Iterable[Any], used: set[Term]) -> None:
    """Adds the terms, and all that they are of."""
    waiting = [*terms]
    while waiting:
        x = waiting.pop()
        if isinstance(x, Term) and x not in used:
            used.add(x)
            waiting += x.of
