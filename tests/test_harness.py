"""What the published ratios rest on: timing in turn, exponents, memory, and the commit that is named."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import numpy as np
import pytest

from benchmarks import harness, modes_goals


def test_a_power_of_the_size_is_found_and_one_size_has_none() -> None:
    sizes = [10, 100, 1000]
    assert harness.exponent(sizes, [3e-6 * n**1.5 for n in sizes]) == pytest.approx(1.5, rel=1e-12)  # float64
    assert np.isnan(harness.exponent([10], [1.0]))


def test_ratios_are_of_runs_in_turn_and_of_the_fastest_of_each_repeat(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock of our own: `run` takes 6 s, `other` 2, and every second call of either is disturbed by 10."""
    now, calls = [0.0], {"run": 0, "other": 0}
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])

    def work(name: str, seconds: float) -> None:
        calls[name] += 1
        now[0] += seconds + 10 * (calls[name] % 2)

    timing, ratio = harness.beside(lambda: work("run", 6), lambda: work("other", 2), repeats=5, fastest_of=3)
    assert (ratio, timing.median, timing.maximum) == (3.0, 6.0, 6.0)
    assert calls == {"run": 16, "other": 16}  # a warm-up, and 5 repeats of 3
    alone = harness.measure(lambda: work("run", 6), 5, warm_up=False)
    assert alone.median == 16.0  # one by one: three of five are disturbed


def test_a_time_without_repeats_is_refused() -> None:
    with pytest.raises(ValueError, match="repeats = 0: give at least 1"):
        harness.measure(lambda: None, 0)


def test_peak_memory_is_what_is_held_at_once() -> None:
    page_tables = 0.05  # of the array: page tables and the allocator's own
    # beyond 32 MiB malloc always maps new pages; below, a fork may find some that this process freed
    assert harness.peak_memory(lambda: np.ones((64, 2**17)).sum()) == pytest.approx(64, rel=page_tables)
    assert harness.peak_memory(lambda: sum(np.ones(2**17).sum() for _ in range(32))) < 4  # one MiB at a time
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        harness.peak_memory(lambda: 1 / 0)


def test_an_aim_that_is_not_reached_is_called_missed() -> None:
    peers = [("odeint", "odeint", 299.0), ("one system", "one scipy system", 12.0), ("slow", "scipy loop", 1500.0)]
    rows = [{"problem": "mild", "family": "project", "method": "noncollapse", "members": 10, "us_per_trajectory": 1.0}]
    rows += [{"problem": "mild", "family": f, "method": m, "members": 10, "us_per_trajectory": r, "slower": r} for m, f, r in peers]  # fmt: skip
    assert modes_goals.compare(rows) == {
        "mild: odeint, at least 300x": "299x (missed; odeint of 10)",  # and no other of its family
        "mild: one scipy system, at least 10x": "12x",
        "mild: scipy loop, at least 1000x": "1.5e+03x",
    }
    assert modes_goals.within(3.5, 3.0, "s") == "3.5 s (missed)" and modes_goals.within(3.0, 3.0, "s") == "3 s"


def test_a_commit_is_dirty_by_its_sources_and_not_by_what_benchmarks_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = tmp_path / "benchmarks" / "results"
    results.mkdir(parents=True)
    source, record = tmp_path / "code.py", results / "modes.json"
    for file in (source, record):
        file.write_text("1")
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b"]
    for said in (["init", "-q"], ["add", "."], ["commit", "-qm", "first"]):
        subprocess.run([*git, *said], cwd=tmp_path, check=True)
    monkeypatch.setattr(harness, "HOME", results)
    clean = harness.provenance()["commit"]
    for file in (record, results / "modes.png"):
        file.write_text("2")
    assert harness.provenance()["commit"] == clean and "dirty" not in clean
    source.write_text("2")
    assert harness.provenance()["commit"] == clean + "-dirty"
