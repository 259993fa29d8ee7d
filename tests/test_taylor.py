"""Taylor's coefficients, as the kernel's text makes them, against series in exact fractions."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from series_oracles import solution

from dynamics import kernel_source, lanes, taylor_source
from dynamics.kernel_text import rows
from dynamics.taylor_source import DEGREE
from dynamics.trace import traced

EPS = np.finfo(float).eps
N, M = 2, 2  # states and parameters of random fields
ACCEPT = np.array(lanes.ACCEPT)


def by_text(field: Callable[..., Any], y: list[float], q: list[float], spoil: Callable[[str], str] = str) -> np.ndarray:
    """The same (n, DEGREE + 1) from the kernel's own text, run by Python in one lane."""
    n, m = len(y), len(q)
    trace = traced(field, n, m)
    assert trace is not None
    text = kernel_source.text("taylor", n, m, 0, trace).split("field = inline(field)\n")[1].split("def begin")[0]
    paired = lambda pairs: lambda s, l: sum(s[a + l] * s[b + l] for a, b in pairs)  # noqa: E731
    space: dict[str, Any] = {
        "field": field,
        "paired": paired,
        "chosen": lambda good, new, old: new if good else old,
        "memory": lambda S: S,
        "widest": lambda: None,
        "inf": math.inf,
        "inverse_root": lambda x, n: 1.0,
        "inverse_roots": lambda x, n, m: 1.0,
    }
    exec(spoil(text), space)
    S, row = np.ones(lanes.LANES * kernel_source.memory_rows("taylor", n, m, 0, trace)).tolist(), rows(n, m, 0)
    at = lambda r: r * lanes.LANES  # noqa: E731
    for first, values in ((row["y"], y), (row["q"], q)):
        for j, x in enumerate(values):
            S[at(first + j)] = x
    space["advance"](S, 1, ACCEPT)
    place = taylor_source.layout(trace, n, m, 0)
    return np.array([[y[j], *(S[at(place.states + k * n + j)] for k in range(DEGREE))] for j in range(n)])


def gaps(field: Callable[..., Any], y: list[float], q: list[float], spoil: Callable[[str], str] = str) -> float:
    """The largest error of a coefficient over the sums of absolute values behind it."""
    exact, size = solution(field, y, q)
    return float((np.abs(by_text(field, y, q, spoil) - exact) / np.where(size > 0, size, 1)).max())


# each operation of a random field, at most some thirty, rounds DEGREE times, and sums of DEGREE products do so again
ROUNDING = 30 * DEGREE**2 * EPS
leaves = st.sampled_from(("y0", "y1", "y0", "y1", "q0", "q1", "0.75", "2", "(-1.5)"))


def larger(part: Any) -> Any:
    pair = st.tuples(part, part)
    return st.one_of(
        st.tuples(pair, st.sampled_from("+-**")).map(lambda x: f"({x[0][0]} {x[1]} {x[0][1]})"),
        pair.map(lambda x: f"({x[0]} / (3 + {x[1]}))"),
        st.tuples(part, st.sampled_from(("-", "+"))).map(lambda x: f"({x[1]}{x[0]})"),
        st.tuples(part, st.sampled_from((2, 3, 4))).map(lambda x: f"({x[0]} ** {x[1]})"),
        part.map(lambda x: f"((2 + {x}) ** -1)"),
    )


expressions = st.recursive(leaves, larger, max_leaves=6)
sixteenths = st.integers(-16, 16).map(lambda i: i / 16)


@settings(deadline=None, max_examples=150)
@given(expressions, expressions, st.tuples(*[sixteenths] * (N + M)))
def test_coefficients_of_any_rational_field(first: str, second: str, at: tuple[float, ...]) -> None:
    field = eval(f"lambda y0, y1, q0, q1: ({first}, {second})")
    y, q = list(at[:N]), list(at[N:])
    try:
        assert gaps(field, y, q) < ROUNDING  # see ROUNDING
    except (ZeroDivisionError, OverflowError):  # Python's; the field has a pole there
        assume(False)


def squares(x, y, a, b):
    """Every rule, and each where a coefficient of an order beyond 1 depends on it."""
    u = (x + a) * y - b * x
    return x * x - 0.25 * u / (y + 2 * b) + a, (1 - u) * x - y + u**2


AT = [0.5, -0.25], [0.75, 1.25]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("2.0 * (", "("),
        ("= 1.0 / ", "= 2.0 / "),
        (" - (s", " + (s"),
        ("* 0.125", "* 0.25"),
        ("+ s[", "- s["),
        ("2.0 * s[", "3.0 * s["),
    ],
)
def test_a_wrong_rule_is_seen(old: str, new: str) -> None:
    """A changed symbol in the text breaks some coefficient."""

    def spoil(text: str) -> str:
        assert old in text
        return text.replace(old, new)

    assert gaps(squares, *AT) < ROUNDING  # see ROUNDING
    assert gaps(squares, *AT, spoil) > 1e3 * ROUNDING  # off by more than rounding


@pytest.mark.parametrize("k", range(2, DEGREE))
def test_a_lost_sum_is_seen(k: int) -> None:
    def spoil(text: str) -> str:
        lines = [
            line.split("paired")[0] + "lambda s, l: 0.0" if line.startswith(f"s{k}_") else line
            for line in text.split("\n")
        ]
        return "\n".join(lines)

    assert gaps(squares, *AT, spoil) > 1e3 * ROUNDING  # off by more than rounding


def test_equal_terms_are_one_and_constants_stand_outside() -> None:
    def field(x, y, a, b):
        return np.float64(3.0) * x * (a * y), b * (y * x) / 2

    trace = trace_of(field)
    assert [x.of[0].op + x.of[1].op for x in trace.terms if x.product] == ["statestate"]  # x y, once
    assert gaps(field, *AT) < ROUNDING  # see ROUNDING


def trace_of(field: Callable[..., Any]) -> Any:
    trace = traced(field, N, M)
    assert trace is not None
    return trace
