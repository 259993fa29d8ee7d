"""Taylor's method: its coefficients against series in exact fractions, its choice of steps, and which fields take it."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numba import njit

from dynamics import compiled, kernel_source, lanes, modes, phase_sets, taylor_source
from dynamics.ensemble import integrate_many
from dynamics.kernel_text import rows
from dynamics.rough_power import HIGH
from dynamics.taylor_source import DEGREE
from dynamics.trace import MOST_TERMS, traced
from tests.mode_cases import sized

EPS = np.finfo(float).eps
N, M = 2, 2  # states and parameters of random fields
ACCEPT = np.array(lanes.ACCEPT)


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


# -- which fields ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "field",
    [
        lambda y: (abs(y),), lambda y: (y if y > 0 else -y,), lambda y: (y if y == 0 else -y,), lambda y: (y if y else 1.0,),
        lambda y: (math.sqrt(y),), lambda y: (np.exp(y),), lambda y: (y**0.5,), lambda y: (2**y,), lambda y: (max(y, 0.0),),
        lambda y: (y // 2,), lambda y: (1.0 / 0.0 * y,), lambda y: (y * "2",), lambda y: (y + 1j,), lambda y: y,
        lambda y: (-y if isinstance(y, float) else y,),
    ],
)  # fmt: skip
def test_what_is_no_rational_function_has_no_trace(field: Callable[..., Any]) -> None:
    assert traced(field, 1, 0) is None


def test_a_field_too_long_to_write_out_has_no_trace() -> None:
    def long(y, count=MOST_TERMS):
        for i in range(count):
            y = y * y + i
        return (y,)

    assert traced(long, 1, 0) is None
    assert traced(lambda y: long(y, 9), 1, 0) is not None


def test_a_chain_longer_than_pythons_stack_has_a_trace() -> None:
    def nested(y, count=600):
        total = 0.0
        for _ in range(count):
            total = total * y + 1.0
        return (-y * total,)

    trace = traced(nested, 1, 0)
    assert trace is not None and len(trace.terms) > 1000


@pytest.mark.parametrize("size", [1e200, 1e-200])
def test_numbers_that_leave_the_range_of_floats_together_stay_apart(size: float) -> None:
    """x' = size x y: the product of two sizes was infinite, or 0 when it stood outside; x = exp(1 - exp(-1)) x(0) at t = 1."""
    field = lambda x, y: ((size * x) * (size * y) * (1.0 / size), -y)  # noqa: E731
    out = integrate_many(field, (1.0 / size, 1.0 / size), (), 1.0, atol=1e-250)
    assert out.ok and abs(out.y[0] * size - math.exp(1.0 - math.exp(-1.0))) < 1e-6  # 10² rtol


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


@njit
def compiled_helper(x):
    return 2.0 * x


def test_the_method_that_takes_less_work_is_taken() -> None:
    def heavy(x, y, z):
        u = [x * y, y * z, z * x, x * x, y * y, z * z]
        return sum(a * b for a in u[:3] for b in u[3:]), x * u[0] * u[1], -z

    kind = lambda field, n, m, dense=False: compiled.explicit(field, n, m, dense)[0]  # noqa: E731
    assert kind(modes.field, 3, 6) == kind(phase_sets.online, 2, 2, True) == "taylor"
    assert kind(phase_sets.online, 2, 2) == kind(heavy, 3, 0, True) == "verner"  # products dearer than the rest
    assert kind(lambda y: (-compiled_helper(y),), 1, 0) == "taylor"  # helpers are read from their source
    assert kind(lambda y: (-abs(y),), 1, 0) == "verner"


def test_edge_of_stability() -> None:
    """|Σ (-x)^k / k!| <= 1 up to STABILITY and beyond 1 after it, to the digits it is given with."""
    R = lambda x: sum((-x) ** k / math.factorial(k) for k in range(DEGREE + 1))  # noqa: E731
    assert all(abs(R(x)) < 1 for x in np.linspace(1e-3, taylor_source.STABILITY - 0.005, 1000))
    assert abs(R(taylor_source.STABILITY + 0.005)) > 1


# -- steps -------------------------------------------------------------------------------------------------------------

Q = [1.3, 1.0, 1.5, 0.8, 0.1, 0.05]  # a, c, alpha_p, beta, eta, eta_p
ATOL = 1e-12


def tried(y: list[float], h: float, rtol: float) -> tuple[float, float, np.ndarray]:
    """Of one try of the compiled kernel with a proposal h: the step it takes, the next proposal, and z."""
    kind, trace = compiled.explicit(modes.field, 3, 6, False)
    advance, begin, *_ = compiled.kernels(kind, modes.field, 3, 6, None, 0, trace)
    S, row = np.zeros((kernel_source.memory_rows(kind, 3, 6, 0, trace), lanes.LANES)), rows(3, 6, 0)
    S[row["y"] : row["y"] + 3, 0], S[row["q"] : row["q"] + 6, 0] = y, Q
    S[lanes.T_END, 0], S[lanes.ACCEPTED, 0] = np.inf, 1.0
    begin(S.reshape(-1), 0)
    S[lanes.H, 0] = h
    advance(S.reshape(-1), 1, np.array([ATOL, rtol, np.inf, np.inf]))
    assert S[lanes.ACCEPTED, 0] == 1.0
    return S[lanes.H_OLD, 0], S[lanes.H, 0], S[row["y"] : row["y"] + 3, 0].copy()


def error(c: np.ndarray, h: float, rtol: float) -> float:
    """The larger of the last two terms, each root mean square over atol + rtol max(|y|, h |y'|)."""
    scale = ATOL + rtol * np.maximum(np.abs(c[:, 0]), h * np.abs(c[:, 1]))
    return max(float(np.sqrt(np.mean((c[:, k] * h**k / scale) ** 2))) for k in (DEGREE - 1, DEGREE))


@settings(deadline=None)
@given(st.floats(0.2, 0.9), st.floats(0.2, 0.9), st.floats(0.0, 0.9), st.floats(-2.0, 1.0), st.floats(-11.0, -2.0))
def test_a_step_is_made_to_fit(p: float, w: float, v: float, exponent: float, tolerance: float) -> None:
    """Also where a state starts at zero, or much too long a step is proposed."""
    y, h, rtol = [p, w, v], 10.0**exponent, 10.0**tolerance
    c = solution(modes.field, y, Q)[0]
    taken, following, z = tried(y, h, rtol)
    assert taken <= h and error(c, taken, rtol) <= 1
    E = max(1.0, 1.125 * error(c, h, rtol))  # the kernel takes an error up to an eighth too large
    assert taken >= h * E ** (-1 / 8 - 1 / 64) / HIGH * (1 - 1e-9) or taken == h  # 1e-9: coefficients in floating point
    assert taken < following <= 10 * taken
    assert np.abs(z - c @ taken ** np.arange(DEGREE + 1)).max() < 1e-13  # tens of roundings of order one


def test_a_step_too_long_is_shortened() -> None:
    """The test above compares something: at a tight tolerance the same proposal is cut, at a loose one taken whole."""
    y, h = [0.6, 0.9, 0.2], 0.3
    assert tried(y, h, 1e-11)[0] < h == tried(y, h, 1e-2)[0]
    assert error(solution(modes.field, y, Q)[0], h, 1e-11) > 1


def test_both_explicit_methods_agree() -> None:
    assert compiled.explicit(sized, 3, 6, True)[0] == "verner"
    rng, rtol = np.random.default_rng(0), 1e-9
    y, times = rng.uniform(0.1, 1.0, (3, 50)), np.linspace(0.0, 6.0, 5)
    marks = lambda p, w, v, a, c, k, b, e, f: (p - 0.5,)  # noqa: E731
    one, other = (
        integrate_many(f, y, Q, times=times, events=marks, stop=(False,), rtol=rtol, method="explicit")
        for f in (modes.field, sized)
    )
    assert one.ok.all() and np.abs(one.at - other.at).max() < 1e3 * rtol  # a local error amplified by the flow
    late = np.nan_to_num(one.event_times, nan=-1.0) - np.nan_to_num(other.event_times, nan=-1.0)
    assert np.abs(late).max() < 1e4 * rtol  # that error over p's speed, above 0.1


def test_starts_from_zero_and_poles() -> None:
    rest = integrate_many(lambda x, y, z: (y, z, 6.0), (0.0, 0.0, 0.0), (), 2.0, rtol=1e-10)
    assert rest.ok and np.allclose(rest.y, [8.0, 12.0, 12.0], rtol=1e-9)  # t³, 3 t², 6 t: 10 rtol
    fall = integrate_many(lambda x: (-1.0 / x,), ([1.0, 0.0, 2.0],), (), [0.6, 1.0, 1.0], rtol=1e-10)
    assert list(fall.status) == [lanes.TOO_SMALL, lanes.NOT_FINITE, lanes.DONE]
    assert np.isclose(fall.t[0], 0.5, rtol=1e-6) and np.isclose(fall.y[2, 0], math.sqrt(2.0), rtol=1e-9)  # √(x0² - 2 t)
