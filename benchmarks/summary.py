"""The README's table of speeds: the goals of each benchmark and what its recorded run reached, computed from results/.

python -m benchmarks.summary            rewrite the block in README.md
python -m benchmarks.summary --check    exit 1 if the block is not what the results say
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.harness import HOME, table
from noncollapse.files import whole

README = HOME.parent.parent / "README.md"
BEGIN, END = "<!-- speeds -->", "<!-- /speeds -->"
WORKLOADS = {  # results file -> its name in the table
    "modes": "per-mode ensembles",
    "matrix": "matrix flows",
    "sgd": "SGD ensembles",
    "infonce": "InfoNCE with many samples",
    "sgd_gpu": "SGD ensembles on a GPU",
}


def block(results: Path = HOME) -> str:
    """Table and provenance of the full runs (quick ones are for a look); one sentence where there are none yet.

    Tables in a folder of `results` are another machine's, named by the folder: a column of their own.
    """
    places = (results, *sorted(path for path in results.glob("*") if path.is_dir()))
    folders = [place for place in places if any((place / f"{name}.json").is_file() for name in WORKLOADS)]
    rows, made = [], []
    for name, title in WORKLOADS.items():
        runs = {_column(folder, results): run for folder in folders if (run := _read(folder / f"{name}.json"))}
        goals = {column: _goals(run) for column, run in runs.items()}
        for aim in dict.fromkeys(aim for reached in goals.values() for aim in reached):
            rows.append({"workload": title, "aim": aim} | {column: goals[column].get(aim) for column in goals})
    if not rows:
        return "No benchmark has been recorded yet: `make bench`."
    for folder in folders:
        made += ["", _provenance(folder, results)]
    return "\n".join([*table(rows), *made])


def _column(folder: Path, results: Path) -> str:
    return "reached" if folder == results else f"reached, {folder.name}"


def _read(path: Path) -> dict[str, Any] | None:
    return json.loads(path.read_text()) if path.is_file() else None


def _goals(run: dict[str, Any]) -> dict[str, str]:
    (goals,) = (note for key, note in run["notes"].items() if key.startswith("goals"))
    return goals


def _provenance(folder: Path, results: Path) -> str:
    """The machine, its versions, and each table with the commit and the day it was made on."""
    sources, machine, place = [], "", folder.relative_to(results)
    for name, title in WORKLOADS.items():
        if not (run := _read(folder / f"{name}.json")):
            continue
        about = run["provenance"]
        path = "benchmarks/results" / place / f"{name}.md"
        made = f"[{title}]({path.as_posix()}): commit {about['commit']}, {about['date'][:10]}"
        if card := run["notes"].get("GPU"):
            made += f", on one {card} with torch {about['versions']['torch']}"
        else:
            versions = ", ".join(f"{n} {v}" for n, v in about["versions"].items())
            machine = f"{about['machine']['processor']}, one thread; {versions}. "
        sources.append(made)
    return f"{_column(folder, results).capitalize()}: {machine}{'; '.join(sources)}."


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="change nothing, say whether the block is current")
    args = parser.parse_args(argv)
    text = README.read_text()
    head, rest = text.split(BEGIN)
    tail = rest.split(END)[1]
    made = f"{head}{BEGIN}\n{block()}\n{END}{tail}"
    if args.check:
        print("current" if made == text else "README's table of speeds is not what benchmarks/results say")
        return int(made != text)
    with whole(README) as part:
        part.write_text(made)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
