"""Which fields have a trace, and which explicit method is taken for one."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numba import njit

from dynamics import compiled, modes, phase_sets
from dynamics.ensemble import integrate_many
from dynamics.trace import MOST_TERMS, traced


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
    assert trace is not None and len(trace.terms) > 1000  # Python's limit of nested calls


@pytest.mark.parametrize("size", [1e200, 1e-200])
def test_numbers_that_leave_the_range_of_floats_together_stay_apart(size: float) -> None:
    """x' = size x y: the product of two sizes was infinite, or 0 when it stood outside; x = exp(1 - exp(-1)) x(0) at t = 1."""
    field = lambda x, y: ((size * x) * (size * y) * (1.0 / size), -y)  # noqa: E731
    out = integrate_many(field, (1.0 / size, 1.0 / size), (), 1.0, atol=1e-250)
    assert out.ok and abs(out.y[0] * size - math.exp(1.0 - math.exp(-1.0))) < 1e-6  # 10² rtol


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
