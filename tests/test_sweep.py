"""Sweeps: every item once, whatever dies; records resume."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sweep_cases import ITEMS, SQUARES, asked, forked, recorded, square, square_or_die, square_or_raise, value_of

import noncollapse.sweep as sweeps
from dynamics.setting import Setting
from noncollapse import verify
from noncollapse.engine import engine_named, processes
from noncollapse.errors import UsageError
from noncollapse.question import residual_of
from noncollapse.sweep import SweepError, grid, outcomes, sweep


def test_results_come_in_the_order_of_the_items_and_each_chunk_has_one_record(tmp_path: Path) -> None:
    assert sweep(square, ITEMS, tmp_path, forked(2), chunk=7) == SQUARES
    assert recorded(tmp_path) == ITEMS
    assert len(list(tmp_path.iterdir())) == 6  # 5 chunks of 7 and a rest of 5; no part of a file is left
    assert sweep(square, [], tmp_path, forked(2)) == []


def test_a_worker_killed_mid_sweep_loses_nothing_and_counts_nothing_twice(tmp_path: Path) -> None:
    log, folder = tmp_path / "log", tmp_path / "records"
    work = partial(square_or_die, deadly=13, log=log)
    assert sweep(work, ITEMS, folder, forked(2), chunk=2) == SQUARES
    assert recorded(folder) == ITEMS
    assert asked(log)["13"] == 2  # the worker did die at it, and it ran again
    assert set(asked(log)) == {str(x) for x in ITEMS}


@pytest.mark.parametrize("fault", ["a lost task taken for done", "results written under another chunk"])
def test_a_faulty_sweep_is_found(fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The check above fails on it: the results are not the squares, or there are none."""
    work = partial(square_or_die, deadly=13, log=tmp_path / "log")
    if fault.startswith("a lost"):
        monkeypatch.setattr(sweeps, "_lost", lambda future: False)
        with pytest.raises(SweepError, match="BrokenProcessPool"):
            sweep(work, ITEMS, tmp_path / "records", forked(2), chunk=2)
    else:
        monkeypatch.setattr(
            sweeps,
            "_read",
            lambda path, items: next((json.loads(p.read_text())["results"] for p in path.parent.glob("*.json")), None),
        )
        sweep(work, ITEMS, tmp_path / "records", forked(2), chunk=2)
        assert sweep(work, ITEMS, tmp_path / "records", forked(2), chunk=2) != SQUARES


def test_what_was_done_before_workers_died_is_not_done_again(tmp_path: Path) -> None:
    log, folder = tmp_path / "log", tmp_path / "records"
    with pytest.raises(SweepError, match=r"workers died 3 times .* fewer workers or smaller chunks"):
        sweep(partial(square_or_die, deadly=39, log=log, times=10**6), ITEMS, folder, forked(1), chunk=2)
    assert recorded(folder) == ITEMS[:-2]
    assert asked(log)["0"] == 1
    assert asked(log)["39"] >= 3


def test_a_failing_item_is_named_and_the_rest_recorded_and_resumed(tmp_path: Path) -> None:
    log, folder = tmp_path / "log", tmp_path / "records"
    before = partial(square_or_raise, bad=(), log=log)
    bad = partial(square_or_raise, bad=(5, 20), log=log)
    with pytest.raises(SweepError, match=r"2 of 20 chunks failed, the first with ArithmeticError: \d+ has no square"):
        sweep(bad, ITEMS, folder, forked(2), chunk=2)
    kept = {x for x in ITEMS if x not in (4, 5, 20, 21)}
    assert recorded(folder) == sorted(kept)
    first = asked(log)
    with pytest.raises(SweepError, match="2 of 20 chunks failed"):
        sweep(bad, ITEMS, folder, forked(2), chunk=2)
    assert asked(log) - first == Counter(
        {"4": 1, "20": 0, "21": 0}
    )  # of the failing chunks, what comes before the error
    assert sweep(before, ITEMS, folder, forked(2), chunk=2) == SQUARES  # another partial is other work: all again
    assert (asked(log) - first)["7"] == 1


@contextmanager
def interrupted_after(n: int) -> Iterator[Executor]:
    """An executor that is interrupted, as by Ctrl-C, when it is handed the n-th task."""

    class Interrupted(ThreadPoolExecutor):
        count = 0

        def submit(self, *args: Any, **kwargs: Any) -> Any:
            self.count += 1
            if self.count > n:
                raise KeyboardInterrupt
            future = super().submit(*args, **kwargs)
            future.result()
            return future

    with Interrupted(1) as executor:
        yield executor


def test_an_interrupted_sweep_resumes_without_repeating_what_is_recorded(tmp_path: Path) -> None:
    log, folder = tmp_path / "log", tmp_path / "records"
    work = partial(square, log=log)
    assert sweep(work, ITEMS[:10], folder, forked(1), chunk=2) == SQUARES[:10]
    with pytest.raises(KeyboardInterrupt):
        sweep(work, ITEMS, folder, partial(interrupted_after, 3), chunk=2)
    assert recorded(folder) == ITEMS[:10]
    assert sweep(work, ITEMS, folder, forked(1), chunk=2) == SQUARES
    assert all(asked(log)[str(x)] == 1 for x in ITEMS[:10])
    torn = next(folder.glob("*.json"))
    torn.write_text(torn.read_text()[:-20])  # as a crash of the disk would leave it
    again = asked(log)
    assert sweep(work, ITEMS, folder, forked(1), chunk=2) == SQUARES
    assert (asked(log) - again).total() == 2  # that chunk alone
    torn.write_text(json.dumps({**json.loads(torn.read_text()), "results": []}))
    assert sweep(work, ITEMS, folder, forked(1), chunk=2) == SQUARES
    assert (asked(log) - again).total() == 4  # and again
    assert recorded(folder) == ITEMS


def test_a_record_is_of_its_work_items_and_tag(tmp_path: Path) -> None:
    sweep(square, [1, 2], tmp_path, forked(1), chunk=2)
    for change in (
        lambda: sweep(partial(value_of, value=5), [1, 2], tmp_path, forked(1), chunk=2),
        lambda: sweep(partial(value_of, value=6), [1, 2], tmp_path, forked(1), chunk=2),
        lambda: sweep(square, [2, 1], tmp_path, forked(1), chunk=2),
        lambda: sweep(square, [1, 2], tmp_path, forked(1), chunk=2, tag="v2"),
    ):
        count = len(list(tmp_path.iterdir()))
        change()
        assert len(list(tmp_path.iterdir())) == count + 1


def power(x: float, exponent: float) -> Any:
    with np.errstate(over="ignore"):
        return np.array([x, np.float64(x) ** exponent])


def test_arrays_become_lists_and_what_is_not_finite_is_refused(tmp_path: Path) -> None:
    assert sweep(partial(power, exponent=2.0), [3.0], tmp_path, forked(1)) == [[3.0, 9.0]]
    with pytest.raises(SweepError, match="no plain finite value"):
        sweep(partial(power, exponent=1e3), [3.0], tmp_path, forked(1))  # 3^1000 is infinite in float64
    assert len(list(tmp_path.iterdir())) == 1


def test_settings_through_a_claims_residual(tmp_path: Path) -> None:
    settings = grid(Setting(), training__eta=[0.0, 0.05], network__k=[1, 2])
    assert [(s.training.eta, s.network.k) for s in settings] == [(0.0, 1), (0.0, 2), (0.05, 1), (0.05, 2)]
    work = partial(residual_of, "naive-global-minimum", "flow")
    found = sweep(work, settings, tmp_path, forked(2), chunk=1)
    assert found == [work(s) for s in settings]
    assert all(row["ok"] and 0 <= row["residual"] <= row["tolerance"] for row in found)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda f: sweep(lambda x: x, [1], f), "module-level function or a partial"),
        (lambda f: sweep(square, [object()], f), "object is no JSON value.*plain values or Settings"),
        (lambda f: sweep(square, [float("nan")], f), "cannot be written down"),
        (lambda f: sweep(square, [1], f, chunk=0), "chunk is 0: give a whole number >= 1"),
        (lambda f: processes(0), "jobs is 0"),
        (lambda f: engine_named("threads"), "engine 'threads' is not known"),
        (lambda f: engine_named("processes:many"), "engine 'processes:many' is not known"),
        (lambda f: engine_named("processes:10001"), "engine 'processes:10001': give at most 10000 processes"),
        (lambda f: engine_named("processes:" + "9" * 5000), "give at most 10000 processes"),
    ],
)
def test_bad_input_says_what_to_do(call: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=message):
        call(tmp_path)


def test_an_engine_by_name(tmp_path: Path) -> None:
    with engine_named("processes:1")() as executor:
        assert executor.submit(abs, -3).result() == 3


def test_every_task_has_one_outcome() -> None:
    """The mechanism without records: an exception is an outcome too."""
    got = dict(outcomes(divmod, [(7, 2), (1, 0), (9, 4)], forked(2)))
    assert got[0] == (3, 1) and got[2] == (2, 1)
    assert isinstance(got[1], ZeroDivisionError)


def wordless(job: verify.Job) -> str | None:
    if job.name == "bad":
        raise AssertionError
    return None


def test_an_exception_without_words_is_still_an_error_of_verify(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(verify, "perform", wordless)
    plan = [verify.Job("claim", name, str(tmp_path), "quick", 0) for name in ("good", "bad")]
    assert list(verify.run_all(plan, 2, "two")) == ["bad: AssertionError: "]
