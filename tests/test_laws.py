"""The laws of the rungs, on Runs given here."""

from __future__ import annotations

import numpy as np
import pytest
from toy_claims import R, given_run, horizon, measured, toy

from dynamics.setting import Setting
from noncollapse.rungs import FLOOR, LATER, TELLING, read


@pytest.mark.parametrize("rung", ["exact", "flow"])
@pytest.mark.parametrize("sign", [1, -1])
def test_law_of_exact_and_flow(monkeypatch: pytest.MonkeyPatch, rung: str, sign: int) -> None:
    given_run(monkeypatch, lambda s, h: sign * 0.99 * FLOOR)
    assert measured(rung).ok
    given_run(monkeypatch, lambda s, h: sign * 1.01 * FLOOR)
    assert not measured(rung).ok
    assert measured(rung, bound=True).ok == (sign < 0), "a bound is broken on one side only"
    assert measured(rung, slack=lambda s: FLOOR).ok


@pytest.mark.parametrize(("order", "ok"), [(1.0, True), (0.92, True), (1.08, True), (0.85, False), (1.15, False),
                                           (0.0, False), (2.0, False), (-1.0, False)])  # fmt: skip
def test_descent_must_approach_the_flow_at_slope_one(monkeypatch: pytest.MonkeyPatch, order: float, ok: bool) -> None:
    given_run(monkeypatch, lambda s, h: 0.1 * 2.0 ** (-order * h))
    assert measured("descent").ok == ok


@pytest.mark.parametrize(
    ("error", "asked", "ok"),
    [
        (lambda x: 0.1 * (x + x * x), 5, True),  # slope 1.26 at lr/4, 1.15, 1.08, and so on to 1: off by the next order
        (lambda x: 0.1 * (x + 2 * x * x), 5, False),  # 1.42, 1.26, 1.15: steps too coarse to tell
        (lambda x: 0.1 * (x + x * x / 2), 4, True),
        (lambda x: 0.1 * x**2, 3, False),  # the second order stays the second
        (lambda x: 0.1 * x**0.7, 3, False),
        (lambda x: 0.1 * x + 0.02, 3, False),  # an error that no step makes: the slope falls away from 1
    ],
)
def test_a_slope_that_comes_nearer_to_one_is_asked_again(
    monkeypatch: pytest.MonkeyPatch, error, asked: int, ok: bool
) -> None:
    halvings: list[int] = []

    def x(setting: Setting, h: int) -> float:
        halvings.append(h)
        return error(2.0**-h)

    given_run(monkeypatch, x)
    reading = measured("descent")
    assert reading.ok == ok
    assert len(halvings) == asked, "and no dearer run than that takes"


def test_descent_within_tolerance_needs_no_slope(monkeypatch: pytest.MonkeyPatch) -> None:
    given_run(monkeypatch, lambda s, h: FLOOR / 2)
    assert measured("descent").ok
    given_run(monkeypatch, lambda s, h: 0.1 * 2.0**-h if h < 2 else 0.0)
    assert measured("descent").ok


SE = float(np.sqrt(2 / R))  # of a difference of two means of R unit normals: what the law calls one standard error


def sgd_run(seed: int, offset: float, order: float = 0.0, n: int = R):
    """R unit normals about an offset that shrinks with the step at the order; fresh noise at each step size."""
    return lambda s, h: offset * 2.0 ** (-order * h) + np.random.default_rng([seed, h]).standard_normal(n)


@pytest.mark.parametrize("seed", range(20))
def test_sgd_law(monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    given_run(monkeypatch, sgd_run(seed, 0.0))
    reading = measured("sgd", R)
    assert reading.ok, "n = 64: a mean of 0 leaves 4 SE (here 5.7 of its own) once in 10^8"
    assert reading.replicas == R
    assert f"n = {R}" in reading.note
    given_run(monkeypatch, sgd_run(seed, 10 * SE))
    assert not measured("sgd", R).ok, "n = 64: 10 SE exceed 4 SE + a measured bias of 1 SE in size"
    given_run(monkeypatch, sgd_run(seed, 2 * 30 * SE, order=1))
    assert measured("sgd", R).ok, "n = 64: an O(lr) bias is what halving the step removes"
    given_run(monkeypatch, sgd_run(seed, 40 * SE, order=0.3))
    assert not measured("sgd", R).ok, "n = 64: 2^-0.3 of 40 SE stays and only 0.23 of it was measured as bias"
    given_run(monkeypatch, sgd_run(seed, 60 * SE, order=0.6))
    assert not measured("sgd", R).ok, "n = 64: 39.6 SE stay against 4 + 20.4; a bias counted twice would let it pass"


def test_sgd_law_of_a_bound_and_of_more_replicas(monkeypatch: pytest.MonkeyPatch) -> None:
    given_run(monkeypatch, sgd_run(0, -10 * SE))
    assert measured("sgd", R, bound=True).ok, "n = 64: ten SE on the allowed side"
    given_run(monkeypatch, sgd_run(0, 10 * SE))
    assert not measured("sgd", R, bound=True).ok, "n = 64: ten SE on the wrong side"
    given_run(monkeypatch, sgd_run(0, 3 * SE))
    assert measured("sgd", R).ok, "n = 64: 3 SE cannot be told from 0 at 4"
    given_run(monkeypatch, sgd_run(0, 3 * SE, n=64 * R))
    assert not measured("sgd", 64 * R).ok, "n = 4096: the same offset is 24 SE"


def test_a_limit_still_on_its_way_is_not_refuted(monkeypatch: pytest.MonkeyPatch) -> None:
    given_run(monkeypatch, lambda s, h: 1 / horizon(s))
    assert LATER[0] > 2, "1/t more than halves from each horizon to the next"
    reading = measured("exact", slack=lambda s: 0.0)
    assert reading.ok
    assert "shrinking" in reading.note
    assert not measured("exact").ok, "without slack it is no limit, and fails where it fails"


def test_the_last_step_decides_of_a_limit_that_is_slow_at_first(monkeypatch: pytest.MonkeyPatch) -> None:
    slow_first = {1: 9.2, 4: 6.8, 16: 1.2, 64: 0.2}  # near a fold: like 1/t only once it is near
    given_run(monkeypatch, lambda s, h: slow_first[round(horizon(s))])
    assert measured("exact", slack=lambda s: 0.0).ok
    given_run(monkeypatch, lambda s, h: {**slow_first, 64: 0.7}[round(horizon(s))])
    assert not measured("exact", slack=lambda s: 0.0).ok, "0.7 is over half of 1.2"
    given_run(monkeypatch, lambda s, h: {**slow_first, 4: 8.5}[round(horizon(s))])
    assert not measured("exact", slack=lambda s: 0.0).ok, "8.5 is over nine tenths of 9.2: it stays"


@pytest.mark.parametrize("rest", [1.0, 0.3, np.nan])
def test_a_time_too_short_to_tell_a_limit_is_refused(monkeypatch: pytest.MonkeyPatch, rest: float) -> None:
    given_run(monkeypatch, lambda s, h: 0.2)
    with pytest.raises(ValueError, match=r"its own law leaves a residual of .*: give a longer training\.t_end"):
        measured("exact", slack=lambda s: rest)
    assert measured("exact", slack=lambda s: TELLING).ok, "0.2 lies within 0.25"


@pytest.mark.parametrize("rest", [0.1, 1e-3, 1e-6])
def test_a_limit_that_settles_above_zero_is_refuted(monkeypatch: pytest.MonkeyPatch, rest: float) -> None:
    given_run(monkeypatch, lambda s, h: rest + np.exp(-horizon(s)))  # halves, and then stays
    assert not measured("exact", slack=lambda s: 0.0).ok


@pytest.mark.parametrize("rest", [1.0, 0.6, 1.5])
def test_a_limit_whose_rest_stays_is_refuted(monkeypatch: pytest.MonkeyPatch, rest: float) -> None:
    given_run(monkeypatch, lambda s, h: 1.0 if horizon(s) == 1 else rest)  # at least half of it is left later
    assert not measured("exact", slack=lambda s: 0.0).ok
    assert not measured("flow", slack=lambda s: 0.0).ok


def test_a_sequence_of_settings_asks_no_later_time(monkeypatch: pytest.MonkeyPatch) -> None:
    given_run(monkeypatch, lambda s, h: 1 / horizon(s))
    claim = toy(lambda *runs: runs[-1]["x"], slack=lambda s: 0.0, along=("objective.negatives", (2, 4)))
    assert not read(claim, claim.base, "exact", 1).ok
