"""How the masked methods' settings were chosen: `python -m benchmarks.masked_settings`, on digits.

A fifth of the *training* images is held back for the probes; the test images are not looked at. Every setting sees each
image equally often, so that a smaller batch takes more steps. Tried are MAE's batch, which digits_methods and image_methods
then use for all masked methods, and where I-JEPA's moving average starts; where settings are not told apart, the paper's
value stays.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.digits_methods import BASE, CHANGES, PROBES, all_trained, probe, said
from benchmarks.harness import write

import numpy as np  # isort: skip

from dynamics import machine
from full_models.data import load
from full_models.training import Recipe

SEEDS = 2
LARGE: dict[str, Any] = {"batch": 128}
FASTER: dict[str, Any] = {"options": {"ema": 0.99}}
SETTINGS: dict[str, tuple[dict[str, Any], ...]] = {  # what differs from digits_methods
    "mae": ({}, LARGE),
    "i-jepa": ({}, FASTER),
}


def training_images(results: Path) -> str:
    """An .npz of the training images alone: loading it holds each fifth of a class back as its test split."""
    place = results / "train" / "digits_train.npz"
    train = load("digits")
    assert train.labels is not None
    place.parent.mkdir(parents=True, exist_ok=True)
    np.savez(place, images=train.images.numpy(), labels=train.labels.numpy())
    return str(place)


def recipe(method: str, data: str, seed: int, change: dict[str, Any]) -> Recipe:
    """That of digits_methods, on these data and with this change."""
    options = {**CHANGES[method].get("options", {}), **change.get("options", {})}
    values = {**CHANGES[method], **change, "options": options}
    return dataclasses.replace(BASE, method=method, data=data, seed=seed, **values)


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=Path("results"), help="where trained runs are kept")
    parser.add_argument("-j", type=int, default=machine.cores(), dest="jobs", help="processes (default: cores)")
    args = parser.parse_args(words)
    data = training_images(args.results)
    plan = [(method, i, seed) for method, found in SETTINGS.items() for i in range(len(found)) for seed in range(SEEDS)]
    made = all_trained(args.results, [recipe(m, data, seed, SETTINGS[m][i]) for m, i, seed in plan], args.jobs)
    rows = []
    for first in range(0, len(plan), SEEDS):
        method, runs = plan[first][0], made[first : first + SEEDS]
        used = runs[0].facts["recipe"]
        line: dict[str, Any] = {"method": method, "batch": used["batch"], "epochs": used["epochs"], "options": used["options"] or None,
                                "steps": runs[0].facts["steps"]}  # fmt: skip
        line |= {name: said(probe(runs, name), ".3f") for name in PROBES}
        line |= {f"untrained {name}": said(probe(runs, name, "untrained"), ".3f") for name in PROBES}
        rows.append(line)
    notes = {
        "seeds": SEEDS,
        "training images": made[0].facts["images"],
        "validation images": made[0].facts["test_images"],
    }
    print(write("masked_settings", rows, notes), file=sys.stdout)


if __name__ == "__main__":
    main()
