"""One longer run of each method on Fashion-MNIST: `python -m benchmarks.fashion_methods [--methods NAME ...] [--draw]`.

Runs go on where they stopped (results/train). Loss, leading eigenvalues, effective rank, directions and probe accuracies
over time are kept in benchmarks/results/fashion_methods.json, small enough to commit, with a table beside it; --draw
makes results/train/fashion_methods.png from that file alone. A method that is not run keeps the record it has.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.harness import RESULTS, provenance, table  # first: it sets the thread counts

import numpy as np  # isort: skip
from tqdm import tqdm

from dynamics.run import Run
from full_models.methods import METHODS
from full_models.training import Recipe, train
from noncollapse.training import arrays, folder_of, training_hash

BASE = Recipe(data="fashion-mnist", count=4096, augmentation="crop", width=128, batch=256, epochs=24, records=7)
TRANSFORMER = {"encoder": "vit-micro", "width": 32, "epochs": 6}  # masked methods need patches; small enough for a CPU
CHANGES: dict[str, dict[str, Any]] = {"i-jepa": TRANSFORMER, "mae": TRANSFORMER, "v-jepa": TRANSFORMER}
FIRST = ("simclr", "vicreg", "barlow-twins", "byol", "simsiam", "supervised", "invariance", "vicreg-no-covariance")
EIGENVALUES, DIGITS = 40, 5  # kept of each spectrum, and significant digits kept of each number
PATH = RESULTS / "fashion_methods.json"


def recipe(method: str) -> Recipe:
    return dataclasses.replace(BASE, method=method, **CHANGES.get(method, {}))


def kept(run: Run) -> dict[str, Any]:
    """The small record of a run: recipe, probes, provenance, and arrays of a few significant digits."""
    series = {name: value for name, value in arrays(run).items() if name not in ("p", "s", "cosine")}
    series["spectrum"] = series["spectrum"][..., :EIGENVALUES]
    rounded = {name: _rounded(np.asarray(value, float)) for name, value in series.items()}
    about = {name: run.facts[name] for name in ("steps", "parameters", "device", "probes")}
    return {"recipe": run.facts["recipe"], **about, "d": run["spectrum"].shape[-1],
            "seconds": round(run.facts["seconds"], 1), "sources": training_hash(), "provenance": provenance(),
            "series": rounded}  # fmt: skip


def _rounded(values: np.ndarray) -> Any:
    return np.vectorize(lambda x: float(f"{x:.{DIGITS}g}"))(values).tolist()


def lines(records: dict[str, Any]) -> list[dict[str, Any]]:
    """The table: one line a method, then what needs no training."""
    out: list[dict[str, Any]] = []
    for method, made in records.items():
        read, series = made["probes"], made["series"]
        out.append({"method": method, "net": made["recipe"]["encoder"] or METHODS[method].encoder, "steps": made["steps"],
                    "linear": read["trained"]["linear"], "k-NN": read["trained"]["knn"], "untrained linear": read["untrained"]["linear"],
                    "untrained k-NN": read["untrained"]["knn"], "d": made["d"], "effective rank": series["erank"][0][-1],
                    "directions": series["directions"][0][-1], "seconds": made["seconds"]})  # fmt: skip
    first = next(iter(records.values()))["probes"]["pixels"]
    chance = first["chance"]
    return [*out, {"method": "raw pixels", "linear": first["linear"], "k-NN": first["knn"]},
            {"method": "commonest class", "linear": chance, "k-NN": chance}]  # fmt: skip


def picture(records: dict[str, Any], place: Path) -> Path:
    """A row a method, from the small records."""
    from figures import style, training

    parts: dict[str, Any] = {"runs": np.array(list(records))}
    for i, made in enumerate(records.values()):
        parts |= {f"{name}:{i}": np.array(value) for name, value in made["series"].items()}
    with style.house():
        return style.finish(
            training.draw(parts), place, "Fashion-MNIST, one run a method, benchmarks/results/fashion_methods.json"
        )


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--methods", nargs="*", choices=tuple(METHODS), default=list(METHODS), metavar="NAME")
    parser.add_argument("--results", type=Path, default=Path("results"), help="where runs are kept")
    parser.add_argument("--draw", action="store_true", help="draw the methods named first, or those recorded of them")
    args = parser.parse_args(words)
    records = json.loads(PATH.read_text()) if PATH.is_file() else {}
    for method in args.methods:
        one = recipe(method)
        with tqdm(desc=method, unit="step", file=sys.stderr) as bar:

            def on_step(done: int, steps: int, bar: Any = bar) -> None:
                bar.total = steps
                bar.update(done - bar.n)

            run = train(one, folder_of(args.results, one), version=training_hash(), on_step=on_step)
        records[method] = kept(run)
        ordered = {name: records[name] for name in METHODS if name in records}
        PATH.parent.mkdir(exist_ok=True)
        PATH.write_text(json.dumps(ordered, separators=(",", ":")).replace('},"', '},\n"') + "\n")
        head = f"# fashion_methods\n\n{BASE.count} training and 10,000 test images; one seed, so differences of a percent mean nothing.\n\n"
        PATH.with_suffix(".md").write_text(head + "\n".join(table(lines(ordered))) + "\n")
    if args.draw:
        shown = {name: records[name] for name in FIRST if name in records}
        print(picture(shown, args.results / "train" / "fashion_methods"))


if __name__ == "__main__":
    main()
