"""The text of one step of Taylor's method of degree 9, for a rational field, over lanes side by side.

The coefficients y_k of the solution at the step's start follow from each other: (k + 1) y_{k+1} = f_k, and f_k from
y_0 ... y_k by one rule an operation, such as (u v)_k = Σ_i u_i v_{k-i}. They do not depend on the step, so it is chosen when
they are known, from the last two. (Moore, Interval Analysis, 1966; Jorba and Zou, Experimental Mathematics 14, 2005.)

The last two can both be small where the next is not: x' = 1 - x³ has from x = 0 the orders 1, 4, 7, 10 alone. So a step that is
made is judged by its defect, by how far the polynomial's velocity at its end lies from the field there.

One loop over the lanes for each k, as for the stages of `dynamics.verner_source`. Degree 9 by work at equal true error on
`modes.field`: degrees 7 to 11 tie from 1e-6 to 1e-8, 13 needs a sixth less at 1e-10.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dynamics import lanes
from dynamics.kernel_text import assign, at, every_lane, finite, load, mean_square, names, rows, step_length, store
from dynamics.rough_power import HIGH
from dynamics.tableaus import VERNER_A, VERNER_B, VERNER_E
from dynamics.trace import Term, Trace

DEGREE = 9
STABILITY = 4.70  # h |λ| at which the method leaves its stability region on the negative axis
# from which a step counts as held by it: such steps have h |λ|, seen as DEGREE times the ratio of the last two terms, 4.2 and
# 5.3 in turn, as one that is too long is followed by one that damps what it has amplified
EDGE = 0.8 * STABILITY
# times the tolerance: a step of greater defect is rejected. Where the tenth term is the next, the error is a tenth of the
# defect; steps that the last two terms choose rightly have defects about 10, so that none of them is lost
DEFECT = 30.0
# for one of Verner's method: 0.6 to 1 at equal true error on `modes.field`, fewest where it is near its end
STEPS = 0.8


def worthwhile(trace: Trace, n: int, dense: bool) -> bool:
    """Does Taylor's method take fewer operations than Verner's? A product costs the one DEGREE (DEGREE + 1), a square half of
    it, any other operation DEGREE, and each of them the other ten. dense: states within steps are asked for, which are all
    but free by the one; by the other each costs a step of a single lane, and events cost more than the steps."""
    every = [x for x in trace.terms if x.op in "+-*/"]
    halves = sum(1 if x.of[0] is x.of[1] else 2 for x in every if x.product)
    others = sum(not x.product for x in every)
    taylor = DEGREE * ((DEGREE + 1) // 2 * halves + others + 4 * n)
    sums = sum(int(np.count_nonzero(c)) for c in (VERNER_A, VERNER_B, VERNER_E))
    return STEPS * taylor < (2 if dense else 1) * (len(VERNER_A) * len(every) + 2 * sums * n)


@dataclass(frozen=True)
class Layout:
    """The rows in which a lane keeps what later loops read, by term.

    states: from here coefficients 1 to DEGREE of the n states; coefficient 0 is y. series: coefficients 0 to DEGREE - 1 of
    factors and divisors, and of quotients. constants: of what is made of parameters. inverses: 1 / v_0 of divisors v.
    """

    number: dict[Term, int]  # of every term, for the names of local variables
    n: int
    y: int
    q: int
    states: int
    series: dict[Term, int]
    constants: dict[Term, int]
    inverses: dict[Term, int]
    end: int

    def coefficient(self, x: Term, k: int) -> int:
        """Its row, of a state or a term in series."""
        if x.op == "state":
            return self.states + (k - 1) * self.n + x.of[0] if k else self.y + x.of[0]
        return self.series[x] + k

    def constant(self, x: Term) -> str:
        """The text of a constant's value."""
        if x.op == "number":
            return repr(x.of[0])
        return at(self.q + x.of[0] if x.op == "parameter" else self.constants[x])


def layout(trace: Trace, n: int, m: int, e: int) -> Layout:
    """Of the rows that this trace needs, behind those of all kernels."""
    row, products = rows(n, m, e), [x for x in trace.terms if x.product]
    divisors = [*dict.fromkeys(x.of[1] for x in products if x.op == "/")]
    read = dict.fromkeys(t for x in products for t in ((x, x.of[1]) if x.op == "/" else x.of))
    series = [x for x in read if x.op != "state"]
    constants = [x for x in trace.terms if x.constant and x.op in "+-*/"]
    first = row["own"] + DEGREE * n
    second = first + DEGREE * len(series)
    third = second + len(constants)
    return Layout(
        {x: i for i, x in enumerate(trace.terms)}, n, row["y"], row["q"], row["own"],
        {x: first + DEGREE * i for i, x in enumerate(series)}, {x: second + i for i, x in enumerate(constants)},
        {x: third + i for i, x in enumerate(divisors)}, third + len(divisors),
    )  # fmt: skip


@dataclass(frozen=True)
class Order:
    """The rules for coefficient k of every term, as text."""

    trace: Trace
    place: Layout
    k: int

    def now(self, x: Term) -> str:
        """Coefficient k."""
        if x.constant:
            return "0.0" if self.k else self.place.constant(x)
        return self.at(x, self.k) if x.op == "state" else f"u{self.place.number[x]}"

    def at(self, x: Term, k: int) -> str:
        """Coefficient k of a state, or a lower one of a term in series."""
        return at(self.place.coefficient(x, k))

    def inner(self, x: Term) -> list[tuple[int, int]]:
        """Rows of the pairs u_i v_{k-i}, 0 < i < k, of a product u v; of a square each pair once, without its middle. Of a
        quotient x = u / v those of x v."""
        u, v = x.of if x.op == "*" else (x, x.of[1])
        last = (self.k - 1) // 2 if u is v else self.k - 1
        return [(self.place.coefficient(u, i), self.place.coefficient(v, self.k - i)) for i in range(1, last + 1)]

    def sum_name(self, x: Term) -> str:
        return f"s{self.k}_{self.place.number[x]}"

    def sums(self) -> list[str]:
        """The sums over inner pairs, to stand before the kernel; each takes (s, l)."""
        pairs = {x: self.inner(x) for x in self.trace.terms if x.product}
        return [f"{self.sum_name(x)} = paired({tuple((i * lanes.LANES, j * lanes.LANES) for i, j in p)!r})"
                for x, p in pairs.items() if p]  # fmt: skip

    def product(self, x: Term) -> str:
        """Coefficients of this order come last in a sum: they are waited for."""
        u, v = x.of
        inner = f"{self.sum_name(x)}(s, l) + " if self.inner(x) else ""
        if x.op == "/":
            known = f" - ({inner}{self.at(x, 0)} * {self.now(v)})" if self.k else ""
            return f"({self.now(u)}{known}) * {at(self.place.inverses[v])}"
        if not self.k:
            return f"{self.now(u)} * {self.now(v)}"
        if u is not v:
            return f"{inner}{self.at(u, 0)} * {self.now(v)} + {self.now(u)} * {self.at(v, 0)}"
        middle = "" if self.k % 2 else f" + {self.at(u, self.k // 2)} * {self.at(u, self.k // 2)}"
        return f"2.0 * ({inner}{self.at(u, 0)} * {self.now(u)}){middle}"

    def rule(self, x: Term) -> str:
        u, v = x.of
        if x.product:
            return self.product(x)
        if x.scaled:
            return f"{self.place.constant(u)} * {self.now(v)}"
        if self.k and v.constant:
            return self.now(u)
        if self.k and u.constant:
            return f"{'-' if x.op == '-' else ''}{self.now(v)}"
        return f"{self.now(u)} {x.op} {self.now(v)}"

    def body(self) -> list[str]:
        """Coefficients k of all terms and k + 1 of the states; before the first of them the constants."""
        place, lines, later = self.place, [], []
        for x in self.trace.terms:
            if x in place.constants and not self.k:
                u, v = x.of
                lines.append(f"{place.constant(x)} = {place.constant(u)} {x.op} {place.constant(v)}")
            elif not x.constant and x.op != "state":
                lines.append(f"{self.now(x)} = {self.rule(x)}")
                if x in place.series:
                    later.append(f"{self.at(x, self.k)} = {self.now(x)}")
            if x in place.inverses and not self.k:
                lines.append(f"{at(place.inverses[x])} = 1.0 / {self.now(x)}")
        velocity = [f"{self.now(x)} * {1 / (self.k + 1)!r}" for x in self.trace.velocity]
        return [*lines, *store(place.states + self.k * place.n, velocity), *later]


def choice(place: Layout, row: dict[str, int]) -> list[str]:
    """Of one lane: the step, as proposed or shorter, the square of the error norm that the next proposal is made from, and edge.

    An error is the larger of the last two terms, over atol + rtol max(|y|, h |y'|), taken up to an eighth too large. Where it
    is E > 1 at the proposed h, E^(-1/8-1/64) h, little below E^(-1/7) h, is short enough also where h |y'| was the larger: the
    scale shrinks with it then.
    """
    n, y = place.n, names("y", place.n)
    (speed, before, last) = (f"c{k}_" for k in (1, DEGREE - 1, DEGREE))
    body = [*step_length(), *load("y", row["y"], n), "power = h * h", "power = power * power", "power = power * power"]
    for k in (1, DEGREE - 1, DEGREE):
        body += load(f"c{k}_", place.states + (k - 1) * n, n)
    body += [f"s{j} = power * inverse_root(atol + rtol * max(abs({y[j]}), abs(h * {speed}{j})), 0)" for j in range(n)]
    body += [f"before = {mean_square([f'{before}{j} * s{j}' for j in range(n)])}"]
    body += [f"last = h * h * {mean_square([f'{last}{j} * s{j}' for j in range(n)])}"]
    body += ["square = before if before > last else last"]
    body += [f"change = {1 / HIGH!r} * inverse_roots(square, 4, 7)"]
    body += ["change = change if change < 1.0 else 1.0", f"{at(lanes.H_OLD)} = h * change"]
    body += store(row["square"], ["square if square < 1.0 else 1.0"])
    return body + store(row["edge"], [f"1.0 if change * change * {DEGREE**2}.0 * last > {EDGE**2!r} * before else 0.0"])


def horner(place: Layout, y: int, speed: bool = False) -> list[str]:
    """Of one lane: z = Σ y_k h^k, with y_0 in the rows from y; speed: and its velocity there, e = Σ k y_k h^{k-1}."""
    z, e, n = names("z", place.n), names("e", place.n), place.n
    body = [f"{z[j]} = {at(place.states + (DEGREE - 1) * n + j)}" for j in range(n)]
    body += [f"{e[j]} = {z[j]}" for j in range(n) if speed]
    for k in reversed(range(DEGREE)):
        first = place.states + (k - 1) * n if k else y
        body += [f"{z[j]} = {at(first + j)} + h * {z[j]}" for j in range(n)]
        body += [f"{e[j]} = {z[j]} + h * {e[j]}" for j in range(n) if speed and k]
    return body


def judgement(place: Layout, row: dict[str, int], m: int) -> list[str]:
    """Of one lane, z and its velocity e at hand: the square of the error norm, raised to that of the defect over DEFECT where
    this is larger. The defect is h (f(z) - e), over the scale that the step was chosen by."""
    n = place.n
    y, z, e, f, c, w = (names(x, n) for x in ("y", "z", "e", "f", "c", "w"))
    states, parameters = [*load("y", row["y"], n), *load("c", place.states, n)], load("q", row["q"], m)
    body = [*states, *parameters, assign(f, f"field({', '.join([*z, *names('q', m)])})")]
    body += [f"{w[j]} = h * inverse_root(atol + rtol * max(abs({y[j]}), abs(h * {c[j]})), 0)" for j in range(n)]
    defect = mean_square([f"({f[j]} - {e[j]}) * {w[j]}" for j in range(n)])
    body += [f"defect = {defect} * {DEFECT**-2!r}", f"square = {at(row['square'])}"]
    body += ["square = square if defect <= square else defect"]  # so that a defect of NaN is one
    return [*body, *store(row["square"], [f"square if {finite(z)} else inf"])]


def orders(trace: Trace, n: int, m: int, e: int) -> list[Order]:
    """The rules of every order, the lowest first."""
    place = layout(trace, n, m, e)
    return [Order(trace, place, k) for k in range(DEGREE)]


def sums(trace: Trace, n: int, m: int, e: int) -> list[str]:
    """The sums that `loops` calls, by name, to stand before the kernel."""
    return [line for order in orders(trace, n, m, e) for line in order.sums()]


def loops(trace: Trace, n: int, m: int, e: int) -> list[str]:
    """From y: h, z, and what the control of the next step reads."""
    place, row = layout(trace, n, m, e), rows(n, m, e)
    step = [f"h = {at(lanes.H_OLD)}", *horner(place, row["y"], speed=True), *store(row["z"], names("z", n))]
    step += judgement(place, row, m)
    bodies = [*(order.body() for order in orders(trace, n, m, e)), choice(place, row), step]
    return [line for body in bodies for line in every_lane(body)]
