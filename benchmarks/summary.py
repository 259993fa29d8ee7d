"""The README's table of speeds: the goals of each benchmark and what its recorded run reached, computed from results/.

python -m benchmarks.summary            rewrite the block in README.md
python -m benchmarks.summary --check    exit 1 if the block is not what the results say
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from benchmarks.harness import RESULTS, table

README = RESULTS.parent.parent / "README.md"
BEGIN, END = "<!-- speeds -->", "<!-- /speeds -->"
WORKLOADS = {  # results file -> its name in the table
    "modes": "per-mode ensembles",
    "matrix": "matrix flows",
    "sgd": "SGD ensembles",
    "infonce": "InfoNCE with many samples",
    "sgd_gpu": "SGD ensembles on a GPU",
}


def block(results: Path = RESULTS) -> str:
    """Table and provenance of the full runs (quick ones are for a look); one sentence where there are none yet."""
    rows, sources, made_on = [], [], ""
    for name, title in WORKLOADS.items():
        path = results / f"{name}.json"
        if not path.is_file():
            continue
        run = json.loads(path.read_text())
        (goals,) = (note for key, note in run["notes"].items() if key.startswith("goals"))
        rows += [{"workload": title, "aim": aim, "reached": reached} for aim, reached in goals.items()]
        about = run["provenance"]
        made = f"[{title}](benchmarks/results/{name}.md): commit {about['commit']}, {about['date'][:10]}"
        if card := run["notes"].get("GPU"):
            sources.append(f"{made}, on one {card} with torch {about['versions']['torch']}")
            continue
        sources.append(made)
        versions = ", ".join(f"{n} {v}" for n, v in about["versions"].items())
        made_on = f"{about['machine']['processor']}, one thread; {versions}. "
    if not rows:
        return "No benchmark has been recorded yet: `make bench`."
    return "\n".join([*table(rows), "", made_on + "; ".join(sources) + "."])


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
    README.write_text(made)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
