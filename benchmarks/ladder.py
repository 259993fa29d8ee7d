"""The ladder itself: seconds to start, and where the slowest claims spend theirs, before (an older commit) and now.

python -m benchmarks.ladder                     the three slowest claims of results/, profiled now
python -m benchmarks.ladder --before 6724895    the same at that commit too, in the same run
"""

from __future__ import annotations

import argparse
import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.harness import measure, write

ROOT = Path(__file__).resolve().parent.parent
STARTS = (("--help",), ("list",), ("verify", "--help"))
SLOWEST = 3
# Runs in the profiled tree: climbs each claim once and prints the seconds of its parts and its dearest functions.
CHILD = r"""
import cProfile, collections, json, pstats, sys, time
import noncollapse, torch
torch.set_num_threads(1)
from noncollapse import ladder, rungs
from noncollapse.budget import BUDGETS
from derivations.registry import CLAIMS
made, spent = rungs.make_run.__wrapped__, collections.Counter()
def timed(setting, rung, *rest):
    began = time.perf_counter()
    try:
        return made(setting, rung, *rest)
    finally:
        spent[rung] += time.perf_counter() - began
import functools
cached = functools.lru_cache(maxsize=8192)(timed)
for module in list(sys.modules.values()):
    if module is not None and getattr(module, "make_run", None) is rungs.make_run and module is not rungs:
        module.make_run = cached
rungs.make_run = cached
for name in filter(CLAIMS.__contains__, sys.argv[1:]):  # an older commit has fewer
    spent.clear()
    began, profile = time.perf_counter(), cProfile.Profile()
    record = ladder.climb(CLAIMS[name], BUDGETS["quick"]).record
    seconds = time.perf_counter() - began
    parts = dict(spent)
    cached.cache_clear()
    profile.enable()
    ladder.climb(CLAIMS[name], BUDGETS["quick"])
    profile.disable()
    stats = pstats.Stats(profile).stats
    dearest = sorted(stats.items(), key=lambda item: -item[1][2])[:5]
    functions = [f"{where[2].strip('<>')} {row[2]:.1f} s" for where, row in dearest]
    print(json.dumps({"claim": name, "verdict": record["verdict"], "seconds": seconds, "rungs": parts, "functions": functions}))
"""


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ids", nargs="*", help="claims (default: the slowest of the records)")
    parser.add_argument("--before", metavar="COMMIT", help="profile this commit too")
    parser.add_argument("--results", type=Path, default=ROOT / "results")
    args = parser.parse_args(argv)
    ids = args.ids or _slowest(args.results)
    rows: list[dict[str, Any]] = []
    if args.before:
        with tempfile.TemporaryDirectory() as folder:
            tree = _checkout(args.before, Path(folder))
            rows += _rows(f"before ({args.before})", tree, ids)
    rows += _rows("now", ROOT, ids)
    print(write("ladder", rows, {"budget": "quick", "start-up": "median of 5 fresh processes"}))


def _slowest(results: Path) -> list[str]:
    """The claims whose records took longest. Raises SystemExit where there are none."""
    seconds = {p.parent.name: json.loads(p.read_text())["provenance"]["seconds"] for p in results.glob("*/record.json")}
    if not seconds:
        raise SystemExit(f"no records in {results}: run `noncollapse verify` first, or name claims")
    return sorted(seconds, key=lambda i: -seconds[i])[:SLOWEST]


def _checkout(commit: str, folder: Path) -> Path:
    packed = subprocess.run(["git", "archive", commit], cwd=ROOT, capture_output=True)
    if packed.returncode:
        raise SystemExit(f"--before {commit}: {packed.stderr.decode().strip()}")
    with tarfile.open(fileobj=io.BytesIO(packed.stdout)) as tree:
        tree.extractall(folder, filter="data")
    return folder


def _rows(label: str, tree: Path, ids: Sequence[str]) -> list[dict[str, Any]]:
    env: Mapping[str, str] = {**os.environ, "PYTHONPATH": str(tree)}

    def run(*words: str) -> str:
        done = subprocess.run([sys.executable, *words], cwd=tree, env=env, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"{label}: {done.stderr.strip().splitlines()[-1]}")
        return done.stdout

    rows: list[dict[str, Any]] = []
    for words in STARTS:
        timing = measure(lambda words=words: run("-m", "noncollapse", *words))
        rows.append({"tree": label, "what": "noncollapse " + " ".join(words), "seconds": timing.median})
    for line in run("-c", CHILD, *ids).splitlines():
        found = json.loads(line)
        parts = ", ".join(f"{rung} {s:.1f} s" for rung, s in found["rungs"].items())
        rows.append({"tree": label, "what": found["claim"], "seconds": found["seconds"], "verdict": found["verdict"],
                     "rungs": parts, "dearest functions": "; ".join(found["functions"])})  # fmt: skip
    return rows


if __name__ == "__main__":
    main()
