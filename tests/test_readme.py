"""README's example claim runs as printed, within the length it promises; its commands are found by the CI runner."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

from readme_commands import commands

from benchmarks import scaling
from benchmarks.summary import BEGIN, END, block
from noncollapse.budget import BUDGETS
from noncollapse.ladder import climb

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)


def test_the_example_claim_climbs() -> None:
    (code,) = (block for block in BLOCKS if "CLAIMS" in block)
    assert len(code.splitlines()) <= 40  # "adding a claim takes at most 40 lines in one file"
    names: dict = {}
    exec(code, names)
    record = climb(names["CLAIMS"][0], BUDGETS["quick"]).record
    assert record["proved"]
    assert record["verdict"] != "error", record["reason"]
    assert all(c["as_it_should"] for c in record["controls"])


def test_the_other_examples_run(tmp_path: Path) -> None:
    others = [block for block in BLOCKS if "CLAIMS" not in block]
    assert others
    for code in others:
        (tmp_path / "example.py").write_text(code)
        done = subprocess.run([sys.executable, tmp_path / "example.py"], capture_output=True, text=True, cwd=ROOT)
        assert done.returncode == 0, done.stderr
        assert "True []" in done.stdout, done.stdout  # every member arrived, none failed


def test_the_commands_are_found() -> None:
    found = commands(README)
    assert "make" in found
    assert all(not line.startswith("#") for line in found)


def test_the_table_of_speeds_is_what_the_results_say(tmp_path: Path) -> None:
    assert f"{BEGIN}\n{block()}\n{END}" in README, "run python -m benchmarks.summary"
    run = {"notes": {"goals": {"mild: odeint, at least 300x": "273x (missed)"}},
           "provenance": {"machine": {"processor": "P"}, "versions": {"numpy": "2"}, "commit": "c", "date": "2026-01-01T00:00"}}  # fmt: skip
    (tmp_path / "modes.json").write_text(json.dumps(run))
    assert "| per-mode ensembles | mild: odeint, at least 300x | 273x (missed) |" in block(tmp_path)
    assert block(tmp_path) not in README, "numbers that no run of benchmarks/results made"
    run["notes"]["goals"] = {"mild: odeint, at least 300x": "859x", "mild: batched, at least 30x": "27x (missed)"}
    run["provenance"]["machine"]["processor"] = "Q"
    for name, file in (("narrow", "modes.json"), ("looked at", "modes-quick.json"), ("swept", "sweeps.json")):
        (tmp_path / name).mkdir()
        (tmp_path / name / file).write_text(json.dumps(run))
    two = block(tmp_path)
    assert "| workload | aim | reached | reached, narrow |" in two
    assert "| per-mode ensembles | mild: odeint, at least 300x | 273x (missed) | 859x |" in two
    assert "| per-mode ensembles | mild: batched, at least 30x | - | 27x (missed) |" in two
    assert "Reached: P, one thread; numpy 2. [per-mode ensembles](benchmarks/results/modes.md)" in two
    assert "Reached, narrow: Q, one thread; numpy 2. [per-mode ensembles](benchmarks/results/narrow/modes.md)" in two
    assert "looked at" not in two and "swept" not in two  # no full table of a workload: no column and no sentence


def test_scaling_is_what_the_results_say() -> None:
    assert scaling.PAGE.read_text() == scaling.page(), "run python -m benchmarks.scaling"


def test_a_sweep_on_many_cores_takes_no_less_than_handing_out_its_tasks() -> None:
    engine = scaling.Handing(start=2.0, task=0.01)
    assert engine.wall(work=100.0, tasks=1000, cores=4) == 2 + 100 / 4
    assert engine.wall(work=100.0, tasks=1000, cores=1000) == 2 + 1000 * 0.01
