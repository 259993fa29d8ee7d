"""Training runs on disk: results/train/<name>/ holds record.json, record.npz and the checkpoint that a run resumes from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from noncollapse.errors import RecordError
from noncollapse.files import digest_of, holds_arrays, read_json
from noncollapse.records import provenance, write_arrays, write_json
from noncollapse.shape import is_training_record
from noncollapse.sources import ROOT, hash_of

if TYPE_CHECKING:
    from dynamics.run import Array, Run
    from full_models.training import Recipe

SOURCES = ("data", "losses", "methods", "networks", "training", "views", "probe.py", "parallel.py")

SAVED = ("steps", "epoch_steps", "images", "test_images", "parameters", "device", "channels")  # facts kept in a record


def name_of(recipe: Recipe) -> str:
    """method-data-seed and 8 hex digits of the whole recipe: another recipe never overwrites a record."""
    values = {k: v for k, v in recipe.to_dict().items() if k not in ("device", "path")}
    digest = hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:8]
    return f"{recipe.method}-{Path(recipe.data).stem}-s{recipe.seed}-{digest}"


def folder_of(results: Path, recipe: Recipe) -> Path:
    """Where the run of a recipe lies, or will."""
    return results / "train" / name_of(recipe)


def training_hash() -> str:
    """Hash of the code that a training run depends on."""
    room = ROOT / "full_models"
    files = [
        f for name in SOURCES for f in ([room / name] if name.endswith(".py") else sorted((room / name).glob("*.py")))
    ]
    return hash_of([*files, ROOT / "dynamics" / "observe.py", ROOT / "dynamics" / "images.py"])


def data_hash(data: str) -> str:
    """Of the images of an .npz or a folder; "" of a named data set, and where nothing of that name is here."""
    from full_models.data import DATA

    return "" if data in DATA else digest_of(Path(data).expanduser())


def version_of(recipe: Recipe) -> str:
    """Of all that a run depends on beside its recipe: a checkpoint of another is not gone on from."""
    return training_hash() + data_hash(recipe.data)


def is_fresh(record: Mapping[str, Any]) -> bool:
    """True if code and data are those that the record was made with, as far as the data are here."""
    made, now = record["provenance"], data_hash(record["recipe"]["data"])
    return made["sources"] == training_hash() and now in ("", made.get("data"))


def save(folder: Path, run: Run) -> dict[str, Any]:
    """Write record.npz and record.json, each whole or not at all; returns the record."""
    record = {
        "recipe": run.facts["recipe"],
        **{name: run.facts[name] for name in SAVED},
        "probes": run.facts["probes"],
        "rows": rows(run),
        "provenance": {
            **provenance(),
            "budget": f"{run.facts['steps']} steps",
            "seed": run.facts["recipe"]["seed"],
            "seconds": round(run.facts["seconds"], 2),
            "sources": training_hash(),
            "data": data_hash(run.facts["recipe"]["data"]),
        },
    }
    write_arrays(folder / "record.npz", arrays(run))
    write_json(folder / "record.json", record)
    return record


def arrays(run: Run) -> dict[str, Array]:
    """What a figure of the run is drawn from: t, the observables, and the probes of what needs no training."""
    import numpy as np

    read = run.facts["probes"]["pixels"]
    baselines = {"pixels_linear": read["linear"], "pixels_knn": read["knn"], "chance": read["chance"]} if read else {}
    return {"t": run.t, **run.obs, **{name: np.asarray(value) for name, value in baselines.items()}}


def load(folder: Path) -> dict[str, Any] | None:
    """The record, None if there is none. Raises RecordError if it cannot be read."""
    path = folder / "record.json"
    if not path.is_file():
        return None
    try:
        record = read_json(path)
        if is_training_record(record) and holds_arrays(folder / "record.npz"):
            return record
    except (OSError, ValueError):
        pass  # said below, as for a record of the wrong shape
    raise RecordError(f"{path} is not a readable training record: give --restart to train anew")


def rows(run: Run) -> list[dict[str, float | None]]:
    """The scalar observables of a one-replica Run as one object a recorded step; null where a number is not finite."""
    import math

    scalars = [name for name, value in run.obs.items() if value.ndim == 2]
    table = []
    for i, step in enumerate(run.t):
        values = {name: float(run[name][0, i]) for name in scalars}
        table.append({"step": int(step), **{k: v if math.isfinite(v) else None for k, v in values.items()}})
    return table


COLUMNS = {  # observable -> (heading, format)
    "loss": ("loss", ".4f"),
    "erank": ("eff. rank", ".1f"),
    "variance": ("variance", ".3g"),
    "directions": ("directions", ".1f"),
    "alignment": ("misaligned", ".3f"),
    "linear": ("linear", ".3f"),
    "knn": ("k-NN", ".3f"),
}
BASELINES = {"untrained": "same encoder, untrained", "pixels": "raw pixels"}


def summary(record: Mapping[str, Any], place: Path) -> list[str]:
    """The record for a reader: the rows, then probe accuracies beside what needs no training."""
    recipe = record["recipe"]
    head = (
        f"{recipe['method']} on {record['images']} images of {recipe['data']}: {record['steps']} steps of "
        f"{recipe['batch']}, {record['parameters']} parameters, {record['provenance']['seconds']} s on {record['device']}"
    )
    return [head, "", *_table(record["rows"]), "", *_probe_lines(record), f"record: {place / 'record.json'}"]


def unfinished(folder: Path, steps: int, records: int) -> list[str]:
    """The rows that a run of so many steps and records has left in its checkpoint; [] where there are none."""
    from full_models.training import checkpoint
    from full_models.training.loop import recorded_steps

    saved = checkpoint.read(folder, "cpu")
    if saved is None:
        return []
    times = recorded_steps(steps, records)[: len(saved["rows"])]
    scalars = [{name: float(v) for name, v in row.items() if v.ndim == 0} for row in saved["rows"]]
    return _table([{"step": step, **row} for step, row in zip(times, scalars, strict=True)])


def _table(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    columns = [name for name in COLUMNS if name in rows[0]]
    lines = ["step".rjust(8) + "".join(COLUMNS[name][0].rjust(12) for name in columns)]
    return lines + [f"{row['step']:>8}" + "".join(_cell(row[n], COLUMNS[n][1]) for n in columns) for row in rows]


def _cell(value: float | None, form: str) -> str:
    return ("-" if value is None else format(value, form)).rjust(12)


def _probe_lines(record: Mapping[str, Any]) -> Sequence[str]:
    probes = record["probes"]
    if not probes["trained"]:
        return ["no labels, hence no probes", ""]
    n = record["test_images"]
    names = {"trained": record["recipe"]["method"], **BASELINES}
    lines = [f"{f'probe accuracy on {n} test images':<36}{'linear':>8}{'k-NN':>8}"]
    lines += [f"  {title:<34}{probes[key]['linear']:>8.3f}{probes[key]['knn']:>8.3f}" for key, title in names.items()]
    return [*lines, f"  {'always the commonest class':<34}{probes['trained']['chance']:>8.3f}", ""]
