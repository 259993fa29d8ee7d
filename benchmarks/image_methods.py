"""One longer run of each method on images of a set: `python -m benchmarks.image_methods [--data NAME] [--methods NAME ...]`.

Fashion-MNIST by default, all methods; `--data cifar10 --path FILE` a few of them with a small ResNet. Runs go on where they
stopped (results/train). Loss, leading eigenvalues, effective rank, directions and probe accuracies over time are kept in
benchmarks/results/<set>_methods.json, small enough to commit, with a table beside it; --draw makes
results/train/<set>_methods.png from that file alone. A method that is not run keeps the record it has. Runs are made at
different loads of the machine: how long a step takes is said by train_speed.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.harness import RESULTS, provenance, table  # first: it sets the thread counts

import numpy as np  # isort: skip
from tqdm import tqdm

from dynamics.run import Run
from full_models.methods import METHODS
from full_models.training import Recipe, train
from noncollapse.files import whole
from noncollapse.training import arrays, folder_of, training_hash

TRANSFORMER = {"encoder": "vit-micro", "width": 32, "batch": 64, "epochs": 12}  # masked methods: see digits_methods
FIRST = ("simclr", "vicreg", "barlow-twins", "byol", "simsiam", "supervised", "invariance", "vicreg-no-covariance")


@dataclass(frozen=True)
class Study:
    """base: the recipe that all methods share; changes: of some; methods: those that are run where none are named; shown:
    those that are drawn."""

    base: Recipe
    changes: Mapping[str, dict[str, Any]]
    methods: tuple[str, ...]
    shown: tuple[str, ...]

    def recipe(self, method: str, path: str | None) -> Recipe:
        return dataclasses.replace(self.base, method=method, path=path, **self.changes.get(method, {}))


STUDIES = {
    "fashion-mnist": Study(
        Recipe(data="fashion-mnist", count=4096, augmentation="crop", width=128, batch=256, epochs=24, records=7),
        {"i-jepa": TRANSFORMER, "mae": TRANSFORMER, "v-jepa": {**TRANSFORMER, "options": {"frames": 4}, "epochs": 6}},
        tuple(METHODS),
        FIRST,
    ),
    "cifar10": Study(
        Recipe(data="cifar10", count=2048, augmentation="crop-flip-colour", encoder="resnet8", width=8, batch=128,
               epochs=12, records=7),
        {},
        ("simclr", "vicreg", "byol", "supervised", "random", "invariance"),
        ("simclr", "vicreg", "byol", "supervised", "invariance"),
    ),
}  # fmt: skip
EIGENVALUES, DIGITS = 40, 5  # kept of each spectrum, and significant digits kept of each number


def kept(run: Run, source: dict[str, str], commit: str) -> dict[str, Any]:
    """The small record of a run: recipe, where its images are from, probes, provenance, and arrays of a few digits."""
    series = {name: value for name, value in arrays(run).items() if name not in ("p", "s", "cosine")}
    series["spectrum"] = series["spectrum"][..., :EIGENVALUES]
    rounded = {name: _rounded(np.asarray(value, float)) for name, value in series.items()}
    about = {
        name: run.facts[name]
        for name in ("steps", "images", "test_images", "parameters", "device", "channels", "probes")
    }
    return {"recipe": {**run.facts["recipe"], "path": None}, "source": source, **about, "d": run["spectrum"].shape[-1],
            "seconds": round(run.facts["seconds"], 1), "sources": training_hash(), "provenance": {**provenance(), "commit": commit},
            "series": rounded}  # fmt: skip


def source_of(data: str, path: str | None, title: str | None) -> dict[str, str]:
    """What the images are called, and of a single file its name and SHA-256: never where it lies on this machine."""
    source = {"title": title or data}
    if path is not None and Path(path).is_file():
        with Path(path).open("rb") as file:
            source |= {"file": Path(path).name, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}
    return source


def head(records: dict[str, Any], name: str) -> str:
    """What the table is of: images, provenance of the data, commits and loads of its runs."""
    one = next(iter(records.values()))
    file = f" from {one['source']['file']} (sha256 {one['source']['sha256']})" if "file" in one["source"] else ""
    commits = sorted({made["provenance"]["commit"] for made in records.values()})
    loads = [made["provenance"]["load"] for made in records.values()]
    return (
        f"# {name}\n\n{one['source']['title']}{file}: {one['images']} training and {one['test_images']} test images; "
        "one seed, so differences of a percent mean nothing. Networks are fed standardised channels; raw pixels are levels "
        f"in [0, 1]. Commit {', '.join(commits)}; load {min(loads)} to {max(loads)}.\n\n"
    )


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
                    "directions": series["directions"][0][-1]})  # fmt: skip
    first = next(iter(records.values()))["probes"]["pixels"]
    chance = first["chance"]
    return [*out, {"method": "raw pixels", "linear": first["linear"], "k-NN": first["knn"]},
            {"method": "commonest class", "linear": chance, "k-NN": chance}]  # fmt: skip


def picture(records: dict[str, Any], place: Path, name: str) -> Path:
    """A row a method, from the small records."""
    from figures import style, training

    title = next(iter(records.values()))["source"]["title"]
    parts: dict[str, Any] = {"runs": np.array(list(records))}
    for i, made in enumerate(records.values()):
        parts |= {f"{name}:{i}": np.array(value) for name, value in made["series"].items()}
    with style.house():
        return style.finish(training.draw(parts), place, f"{title}, one run a method, benchmarks/results/{name}.json")


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", choices=tuple(STUDIES), default="fashion-mnist")
    parser.add_argument("--path", help="where the set's files are, if not in their usual places")
    parser.add_argument("--title", help="what results are called after, where the files are not the authors' own")
    parser.add_argument("--methods", nargs="*", choices=tuple(METHODS), metavar="NAME")
    parser.add_argument("--results", type=Path, default=Path("results"), help="where runs are kept")
    parser.add_argument("--draw", action="store_true", help="draw the methods named first, or those recorded of them")
    args = parser.parse_args(words)
    study, name = STUDIES[args.data], f"{args.data.removesuffix('-mnist')}_methods"
    path = RESULTS / f"{name}.json"
    records = json.loads(path.read_text()) if path.is_file() else {}
    source = source_of(args.data, args.path, args.title)
    commit = provenance()["commit"]  # of the code that runs: the first record written makes the tree differ from it
    for method in study.methods if args.methods is None else args.methods:
        records[method] = kept(watched(study.recipe(method, args.path), args.results), source, commit)
        ordered = {name: records[name] for name in METHODS if name in records}
        with whole(path) as part:
            part.write_text(json.dumps(ordered, separators=(",", ":")).replace('},"', '},\n"') + "\n")
        path.with_suffix(".md").write_text(head(ordered, name) + "\n".join(table(lines(ordered))) + "\n")
    if args.draw:
        shown = {method: records[method] for method in study.shown if method in records}
        print(picture(shown, args.results / "train" / name, name))


def watched(one: Recipe, results: Path) -> Run:
    """The recipe's run, with a bar over its steps."""
    with tqdm(desc=one.method, unit="step", file=sys.stderr, disable=bool(os.environ.get("CI"))) as bar:

        def on_step(done: int, steps: int) -> None:
            bar.total = steps
            bar.update(done - bar.n)

        return train(one, folder_of(results, one), version=training_hash(), on_step=on_step)


if __name__ == "__main__":
    main()
