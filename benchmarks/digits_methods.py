"""Every method on digits, five seeds: `python -m benchmarks.digits_methods [--methods NAME ...] [--quick]`;
`--predictor-rates` instead runs BYOL, SimSiam and Matrix-SSL at the papers' predictor rate and at ten times it.

Trained runs are kept in results/train (a run that is there is read, not trained again), and the table is of all methods
that have their five seeds. Probe accuracies stand beside those of each one's untrained encoder, raw pixels, the supervised
network and chance. Whether an ablation collapses is computed: its embedding has fewer directions (effective rank of the
uncentred second moment of z/‖z‖) than that of the method it is cut from, by more than 4 standard errors of the
difference of the means over seeds. The same test between a method and itself at five further seeds must find nothing.
How long a run took is no column: the runs of one table are made at different times and loads (see train_speed).
"""

from __future__ import annotations

import argparse
import dataclasses
import math
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.harness import table, write  # first: it sets the thread counts

import numpy as np  # isort: skip
from tqdm import tqdm

from dynamics import machine
from dynamics.run import Run
from full_models.methods import METHODS
from full_models.training import Recipe, train
from noncollapse.engine import processes
from noncollapse.training import folder_of, training_hash

SEEDS, STANDARD_ERRORS = 5, 4.0
PROBES = ("linear", "knn")
BASE = Recipe(data="digits", augmentation="crop", width=64, batch=128, epochs=20, records=2)
# masked methods need patches, and more steps than the others: small batches (masked_settings), small enough for a CPU
TRANSFORMER = {"encoder": "vit-micro", "width": 32, "batch": 32, "epochs": 20}
CHANGES: dict[str, dict[str, Any]] = {"i-jepa": TRANSFORMER, "mae": TRANSFORMER,
                                      "v-jepa": {**TRANSFORMER, "options": {"frames": 4}}}  # fmt: skip
MASKED = tuple(CHANGES)
PARENTS = {  # ablation -> what it is cut from
    "align-only": "align-uniform", "invariance": "vicreg", "vicreg-no-variance": "vicreg",
    "vicreg-no-covariance": "vicreg", "barlow-twins-no-redundancy": "barlow-twins",
    "simsiam-no-predictor": "simsiam", "simsiam-no-stopgrad": "simsiam", "byol-no-predictor": "byol",
    "optimal-predictor": "directpred",  # no part is cut: another formula for the predictor, and no average of the target
}  # fmt: skip
NULLS = ("simclr", "vicreg", "byol")  # methods that are compared with themselves
PREDICTED = ("byol", "simsiam", "matrix-ssl")  # methods with a learned predictor
PAPERS_RATE, RAISED_RATE = 1.0, 10.0  # learning rate of the predictor over that of the rest


def recipe(method: str, seed: int, **options: Any) -> Recipe:
    """The method's run of the table, at these options."""
    values = {"options": options, **CHANGES.get(method, {})}
    return dataclasses.replace(BASE, method=method, seed=seed, **values)


def trained(results: Path, one: Recipe) -> Run:
    """The recipe's run, read from its checkpoint where it is finished."""
    return train(one, folder_of(results, one), version=training_hash())


def all_trained(results: Path, plan: Sequence[Recipe], jobs: int) -> list[Run]:
    """The runs of the recipes, in their order, by so many processes."""
    with processes(jobs)() as pool:
        return list(tqdm(pool.map(partial(trained, results), plan), total=len(plan), unit="run", file=sys.stderr))


def is_trained(results: Path, one: Recipe) -> bool:
    """Whether the recipe's run is there, finished, by this code."""
    from full_models.training import checkpoint

    saved = checkpoint.read(folder_of(results, one), "cpu")
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


def probe(runs: list[Run], name: str, of: str = "trained") -> list[float]:
    """Test accuracy of a probe ("linear", "knn") of trained or untrained features, one number a seed."""
    return [run.facts["probes"][of][name] for run in runs]


def said(values: Sequence[float], form: str) -> str:
    """Mean ± standard error."""
    mean, error = mean_se(values)
    return f"{mean:{form}} ± {error:{form}}"


def row(method: str, runs: dict[str, list[Run]]) -> dict[str, Any]:
    """One line of the table, over the seeds."""
    mine = runs[method]
    line: dict[str, Any] = {"method": method, "steps": mine[0].facts["steps"]}
    line |= {name: said(probe(mine, name), ".3f") for name in PROBES}
    line |= {f"untrained {name}": said(probe(mine, name, "untrained"), ".3f") for name in PROBES}
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
    return line


def baselines(runs: list[Run]) -> list[dict[str, Any]]:
    """What needs no training, on the same images."""
    pixels = {"method": "raw pixels"} | {name: said(probe(runs, name, "pixels"), ".3f") for name in PROBES}
    chance = f"{runs[0].facts['probes']['trained']['chance']:.3f}"
    return [pixels, {"method": "commonest class", "linear": chance, "knn": chance}]


def null_control(runs: list[Run], others: list[Run]) -> str:
    """A method against itself at other seeds, in either direction: what the criterion makes of no difference at all."""
    told, errors = zip(*(fewer(directions(a), directions(b)) for a, b in ((runs, others), (others, runs))), strict=True)
    return f"told apart {any(told)}, {max(errors):.2f} standard errors"


def learning(runs: list[Run]) -> str:
    """Whether the probes gain on the untrained encoder: differences over seeds, each seed with its own start."""
    gains = {}
    for name in PROBES:
        mean, error = mean_se(np.subtract(probe(runs, name), probe(runs, name, "untrained")).tolist())
        gains[name] = f"{name} {mean:+.3f} ({mean / error:+.1f} standard errors)"
    return ", ".join(gains.values())


def methods_table(asked: Sequence[str], results: Path, jobs: int, quick: bool) -> None:
    """Trains what is asked for, and writes the table of all that have their seeds (quick: prints it)."""
    plan = [recipe(method, seed) for method in asked for seed in range(SEEDS)]
    plan += [recipe(method, seed) for method in NULLS if method in asked for seed in range(SEEDS, 2 * SEEDS)]
    all_trained(results, plan, jobs)

    def of(method: str, first: int = 0) -> list[Run]:
        return [trained(results, recipe(method, seed)) for seed in range(first, first + SEEDS)]

    ready = [m for m in METHODS if all(is_trained(results, recipe(m, seed)) for seed in range(SEEDS))]
    runs = {method: of(method) for method in (asked if quick else ready)}
    rows = [*(row(method, runs) for method in runs), *baselines(next(iter(runs.values())))]
    notes: dict[str, Any] = {
        "seeds": SEEDS,
        "raw pixels": "levels in [0, 1]; networks are fed standardised channels",
        "collapses": "fewer directions than the method it is cut from, at 4 standard errors",
    }
    for method in NULLS:
        if method in asked:
            notes[f"null, {method} against itself"] = null_control(runs[method], of(method, SEEDS))
    if {"optimal-predictor", "byol"} <= runs.keys():
        told, errors = fewer(directions(runs["optimal-predictor"]), directions(runs["byol"]))
        notes["optimal-predictor against byol"] = f"fewer directions {told}, {errors:.1f} standard errors"
    for method in ("optimal-predictor", *MASKED):
        if method in runs:
            notes[f"{method}, gain on its untrained encoder"] = learning(runs[method])
    if quick:
        print("\n".join([*table(rows), *(f"- {key}: {value}" for key, value in notes.items())]))
    else:
        print(write("digits_methods", rows, notes))


def rates_table(results: Path, jobs: int) -> None:
    """The papers' rate of a learned predictor against ten times it, each judged beside no predictor at all."""
    ways: dict[str, dict[str, Any]] = {f"{rate:g}": {"predictor_rate": rate} for rate in (PAPERS_RATE, RAISED_RATE)}
    ways["no predictor"] = {"predictor": "none"}
    plan = [(method, way, seed) for method in PREDICTED for way in ways for seed in range(SEEDS)]
    made = all_trained(results, [recipe(method, seed, **ways[way]) for method, way, seed in plan], jobs)
    found: dict[tuple[str, str], list[Run]] = {}
    for (method, way, _), run in zip(plan, made, strict=True):
        found.setdefault((method, way), []).append(run)
    rows = []
    for (method, way), runs in found.items():
        line: dict[str, Any] = {"method": method, "predictor rate": way, "steps": runs[0].facts["steps"]}
        line |= {name: said(probe(runs, name), ".3f") for name in PROBES}
        line["directions"] = said(directions(runs), ".2f")
        line["loss"] = said([run["loss"][0, -1] for run in runs], ".4f")
        rows.append(line)
    notes: dict[str, Any] = {"seeds": SEEDS}
    paper, raised = f"{PAPERS_RATE:g}", f"{RAISED_RATE:g}"
    for method in PREDICTED:
        told, errors = fewer(directions(found[method, "no predictor"]), directions(found[method, paper]))
        worse = {name: fewer(probe(found[method, paper], name), probe(found[method, raised], name)) for name in PROBES}
        keeps = told and not any(is_worse for is_worse, _ in worse.values())
        notes[method] = (
            f"rate {paper} has more directions than no predictor by {errors:.1f} standard errors, and is worse than rate "
            f"{raised} by {', '.join(f'{e:.1f} ({name})' for name, (_, e) in worse.items())}: the paper's rate "
            + ("stays" if keeps else "does not do")
        )
    print(write("predictor_rates", rows, notes))


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--methods", nargs="+", choices=tuple(METHODS), default=list(METHODS), metavar="NAME")
    parser.add_argument("--results", type=Path, default=Path("results"), help="where trained runs are kept")
    parser.add_argument("-j", type=int, default=machine.cores(), dest="jobs", help="processes (default: cores)")
    parser.add_argument("--predictor-rates", action="store_true", help="judge the predictor's learning rate instead")
    parser.add_argument("--quick", action="store_true", help="three methods and an ablation only, nothing written")
    args = parser.parse_args(words)
    if args.predictor_rates:
        rates_table(args.results, args.jobs)
    else:
        asked = ("simclr", "vicreg", "invariance", "supervised") if args.quick else args.methods
        methods_table(asked, args.results, args.jobs, args.quick)


if __name__ == "__main__":
    main()
