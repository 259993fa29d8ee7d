"""Every benchmark, one after another: `python -m benchmarks [--quick]`. Peers that are not installed are skipped, said.

The machine should be otherwise idle: each table states the load under which it was made.
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
    "train_speed": True,
    "ladder": False,
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="smaller problems, under 5 minutes together")
    quick = parser.parse_args().quick
    failed = []
    for name, short in BENCHMARKS.items():
        if quick and not short:
            continue
        print(f"== {name}", flush=True)
        words = [sys.executable, "-m", f"benchmarks.{name}", *(["--quick"] if quick else [])]
        if subprocess.run(words).returncode:
            failed.append(name)
    if not quick:
        subprocess.run([sys.executable, "-m", "benchmarks.summary"], check=True)
    if failed:
        print(
            f"benchmarks: {', '.join(failed)} did not finish; each runs alone as python -m benchmarks.NAME",
            file=sys.stderr,
        )
    return int(bool(failed))


if __name__ == "__main__":
    raise SystemExit(main())
