"""Every method on digits, five seeds: `python -m benchmarks.digits_methods [--methods NAME ...] [--quick]`.

Trained runs are kept in results/train (a run that is there is read, not trained again), and the table is of all methods
that have their five seeds. Probe accuracies stand beside those of each one's untrained encoder, raw pixels, the supervised
network and chance. Whether an ablation collapses is computed: its embedding has fewer directions (effective rank of the
uncentred second moment of z/‖z‖) than that of the method it is cut from, by more than 4 standard errors of the
difference of the means over seeds. The same test between a method and itself at five further seeds must find nothing.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
import multiprocessing
import os
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.harness import write  # first: it sets the thread counts

import numpy as np  # isort: skip
from tqdm import tqdm

from dynamics.run import Run
from full_models.methods import METHODS
from full_models.training import Recipe, train
from noncollapse.training import folder_of, training_hash

SEEDS, STANDARD_ERRORS = 5, 4.0
BASE = Recipe(data="digits", augmentation="crop", width=64, batch=128, epochs=20, records=2)
TRANSFORMER = {"encoder": "vit-micro", "width": 32}  # masked methods need patches; small enough for a CPU
CHANGES: dict[str, dict[str, Any]] = {"i-jepa": TRANSFORMER, "mae": TRANSFORMER,
                                      "v-jepa": {**TRANSFORMER, "count": 512, "epochs": 10}}  # fmt: skip
PARENTS = {  # ablation -> what it is cut from
    "align-only": "align-uniform", "invariance": "vicreg", "vicreg-no-variance": "vicreg",
    "vicreg-no-covariance": "vicreg", "barlow-twins-no-redundancy": "barlow-twins",
    "simsiam-no-predictor": "simsiam", "simsiam-no-stopgrad": "simsiam", "byol-no-predictor": "byol",
}  # fmt: skip
NULL = "simclr"  # the method that is compared with itself


def recipe(method: str, seed: int) -> Recipe:
    return dataclasses.replace(BASE, method=method, seed=seed, **CHANGES.get(method, {}))


def trained(results: Path, job: tuple[str, int]) -> Run:
    """The run of (method, seed), read from its checkpoint where it is finished."""
    one = recipe(*job)
    return train(one, folder_of(results, one), version=training_hash())


def is_trained(results: Path, job: tuple[str, int]) -> bool:
    from full_models.training import checkpoint

    saved = checkpoint.read(folder_of(results, recipe(*job)), "cpu")
    return saved is not None and saved["version"] == training_hash() and saved["finished"] is not None


def mean_se(values: Sequence[float]) -> tuple[float, float]:
    """Mean and its standard error over seeds."""
    return float(np.mean(values)), float(np.std(values, ddof=1) / math.sqrt(len(values)))


def fewer(ablated: Sequence[float], whole: Sequence[float]) -> tuple[bool, float]:
    """Whether the mean of `ablated` lies below that of `whole` by more than 4 standard errors; the difference in those."""
    (a, error_a), (b, error_b) = mean_se(ablated), mean_se(whole)
    errors = (b - a) / math.hypot(error_a, error_b)
    return errors > STANDARD_ERRORS, errors


def directions(runs: Sequence[Run]) -> list[float]:
    """Directions of the trained embedding, one number a seed."""
    return [float(run["directions"][0, -1]) for run in runs]


def row(method: str, runs: dict[str, list[Run]]) -> dict[str, Any]:
    """One line of the table, over the seeds."""
    mine = runs[method]

    def said(values: Sequence[float], form: str) -> str:
        mean, error = mean_se(values)
        return f"{mean:{form}} ± {error:{form}}"

    line: dict[str, Any] = {"method": method, "steps": mine[0].facts["steps"]}
    for probe in ("linear", "knn"):
        line[probe] = said([run.facts["probes"]["trained"][probe] for run in mine], ".3f")
    for probe in ("linear", "knn"):
        line[f"untrained {probe}"] = said([run.facts["probes"]["untrained"][probe] for run in mine], ".3f")
    line["d"] = mine[0]["spectrum"].shape[-1]
    line["effective rank, start"] = said([run["erank"][0, 0] for run in mine], ".1f")
    line["effective rank"] = said([run["erank"][0, -1] for run in mine], ".1f")
    line["directions"] = said(directions(mine), ".2f")
    line["variance / start"] = said([run["variance"][0, -1] / run["variance"][0, 0] for run in mine], ".2g")
    line["cut from"] = line["collapses"] = line["standard errors"] = line["said to collapse"] = None
    parent = PARENTS.get(method)
    if parent in runs:
        line["cut from"] = parent
        line["collapses"], line["standard errors"] = fewer(directions(mine), directions(runs[parent]))
        line["said to collapse"] = METHODS[method].collapses
    line["seconds"] = float(np.median([run.facts["seconds"] for run in mine]))
    return line


def baselines(runs: list[Run]) -> list[dict[str, Any]]:
    """What needs no training, on the same images."""
    read = {p: mean_se([run.facts["probes"]["pixels"][p] for run in runs]) for p in ("linear", "knn")}
    pixels = {"method": "raw pixels"} | {p: f"{mean:.3f} ± {error:.3f}" for p, (mean, error) in read.items()}
    chance = f"{runs[0].facts['probes']['trained']['chance']:.3f}"
    return [pixels, {"method": "commonest class", "linear": chance, "knn": chance}]


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--methods", nargs="+", choices=tuple(METHODS), default=list(METHODS), metavar="NAME")
    parser.add_argument("--results", type=Path, default=Path("results"), help="where trained runs are kept")
    parser.add_argument("-j", type=int, default=os.cpu_count() or 1, dest="jobs", help="processes (default: cores)")
    parser.add_argument("--quick", action="store_true", help="three methods and an ablation only, nothing written")
    args = parser.parse_args(words)
    asked = ["simclr", "vicreg", "invariance", "supervised"] if args.quick else args.methods
    plan = [(method, seed) for method in asked for seed in range(SEEDS)]
    plan += [(NULL, seed) for seed in range(SEEDS, 2 * SEEDS) if NULL in asked]
    work = partial(trained, args.results)
    with ProcessPoolExecutor(args.jobs, mp_context=multiprocessing.get_context("spawn")) as pool:
        list(tqdm(pool.map(work, plan), total=len(plan), unit="run", file=sys.stderr))
    ready = asked if args.quick else [m for m in METHODS if all(is_trained(args.results, (m, s)) for s in range(SEEDS))]
    runs = {method: [work((method, seed)) for seed in range(SEEDS)] for method in ready}
    rows = [row(method, runs) for method in ready]
    notes: dict[str, Any] = {
        "seeds": SEEDS,
        "collapses": "fewer directions than the method it is cut from, at 4 standard errors",
    }
    if NULL in runs:
        rows += baselines(runs[NULL])
        others = directions([work((NULL, seed)) for seed in range(SEEDS, 2 * SEEDS)])
        told, errors = fewer(others, directions(runs[NULL]))
        notes["control"] = f"{NULL} against itself at five other seeds: told apart {told}, {errors:.2f} standard errors"
    if args.quick:
        from benchmarks.harness import table

        print("\n".join(table(rows)))
    else:
        print(write("digits_methods", rows, notes))


if __name__ == "__main__":
    main()
