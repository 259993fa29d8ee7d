"""Every benchmark, one after another: `python -m benchmarks [--quick]`. Peers that are not installed are skipped, said.

The machine should be otherwise idle: each table states the load under which it was made. With BENCHMARK_RESULTS set to a new
folder in benchmarks/results/ the tables go there, and README's table has a column more.
"""

from __future__ import annotations

import argparse
import subprocess
import sys

BENCHMARKS = {  # module -> whether it has a quick form
    "modes": True,
    "matrix": True,
    "sgd": True,
    "infonce": True,
    "sweeps": True,
    "train_speed": True,
    "ladder": False,
}
BEFORE = "6724895"  # the last commit before the speed-ups: the ladder's profiles are made of it too


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="smaller problems, under 5 minutes together")
    quick = parser.parse_args().quick
    failed = []
    for name, short in BENCHMARKS.items():
        if quick and not short:
            continue
        print(f"== {name}", flush=True)
        words = ["--quick"] if quick else []
        if name == "ladder":
            if not _have(BEFORE):
                print(f"skipped: this copy has no commit {BEFORE} to compare with: use a clone with its history")
                continue
            _python("noncollapse", "verify")  # its records say which claims are the slowest; fresh ones are kept
            words = ["--before", BEFORE]
        if _python(f"benchmarks.{name}", *words):
            failed.append(name)
    if not quick:
        for page in ("summary", "scaling"):  # of all tables, whichever machine this is
            if _python(f"benchmarks.{page}"):
                failed.append(page)
    if failed:
        print(
            f"benchmarks: {', '.join(failed)} did not finish; each runs alone as python -m benchmarks.NAME",
            file=sys.stderr,
        )
    return int(bool(failed))


def _python(module: str, *words: str) -> int:
    return subprocess.run([sys.executable, "-m", module, *words]).returncode


def _have(commit: str) -> bool:
    return subprocess.run(["git", "cat-file", "-e", commit], capture_output=True).returncode == 0


if __name__ == "__main__":
    raise SystemExit(main())
