"""Taylor's steps are judged by their defect: series that leave out the very orders from which the step is chosen."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from dynamics import compiled, modes, taylor_source
from dynamics.ensemble import integrate_many


def falling(x):
    """From 0: orders 1, 4, 7, 10, ..."""
    return (1 / (1 + x**3),)


def cubic(x, k):
    """From 0: orders 1, 4, 7, 10, ..."""
    return (k - x**3,)


def sixth(x):
    """From 0: orders 1, 7, 13, ..."""
    return (1 - x**6,)


def twelfth(x):
    """From 0: orders 1, 13, 25, ..."""
    return (1 - x**12,)


BLIND: dict[str, tuple[Callable[..., Any], tuple[float, ...], list[float]]] = {  # field, its parameters, times
    "falling": (falling, (), [1e3, 1e4]), "falling at once": (falling, (), [0.0, 1e4]),
    "cubic": (cubic, (1.0,), [1.0, 1e3]), "cubic later": (cubic, (1.0,), [10.0, 1e4]),
    "sixth": (sixth, (), [0.5, 0.9, 5.0]), "twelfth": (twelfth, (), [0.5, 0.9, 5.0]),
}  # fmt: skip


def errors(field: Callable[..., Any], q: tuple[float, ...], times: list[float], x0: float, rtol: float) -> np.ndarray:
    """Relative, of the states at the times after 0, to scipy's."""
    out = integrate_many(field, (x0,), q, times=times, rtol=rtol)
    assert out.ok.all()
    exact = solve_ivp(lambda _, x: field(*x, *q), (0, times[-1]), [x0], "DOP853", times, rtol=1e-13, atol=1e-15).y[0]
    late = np.array(times) > 0
    return np.abs(out.at[:, 0] - exact)[late] / np.abs(exact[late])


@pytest.mark.parametrize("rtol", [1e-4, 1e-6, 1e-8, 1e-10])
@pytest.mark.parametrize("x0", [0.0, 1e-3])  # at 1e-3 the last two orders are there, but far smaller than the next
@pytest.mark.parametrize("name", BLIND)
def test_a_series_with_gaps_is_no_less_exact(name: str, x0: float, rtol: float) -> None:
    field, q, times = BLIND[name]
    assert compiled.explicit(field, 1, len(q), True)[0] == "taylor"
    assert errors(field, q, times, x0, rtol).max() < rtol  # all of these contract: local errors do not add up


def test_without_the_judgement_they_are_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(taylor_source, "DEFECT", 1e9)
    unjudged = lambda x, k: (k - x**3,)  # noqa: E731  a field of its own: kernels are kept by field
    assert errors(unjudged, (1.0,), [1.0, 1e3], 0.0, 1e-8).max() > 0.01  # over 10⁶ times the tolerance


def lotka(x, y):
    return x * (1 - y), y * (x - 1)


def brusselator(x, y):
    return 1 + x * x * y - 4 * x, 3 * x - x * x * y


def lorenz(x, y, z):
    return 10 * (y - x), x * (28 - z) - y, x * y - 8 / 3 * z


@pytest.mark.parametrize("rtol", [1e-4, 1e-6, 1e-8, 1e-10])
@pytest.mark.parametrize(
    ("field", "size", "q"), [(modes.field, 3, (1.2, 1.0, 1.5, 0.8, 0.05, 0.05)), (lotka, 2, ()), (brusselator, 2, ()), (lorenz, 3, ())]
)  # fmt: skip
def test_no_step_of_a_full_series_is_lost(
    field: Callable[..., Any], size: int, q: tuple[float, ...], rtol: float
) -> None:
    y0 = tuple(np.random.default_rng(0).random((size, 200)) + 0.5)
    out = integrate_many(field, y0, q, times=[1.0, 5.0], rtol=rtol)
    assert (out.tries == out.steps).all()
