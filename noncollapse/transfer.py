"""Transfer: what deep networks do, beside the linear prediction. A separate axis, never part of a verdict."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from derivations.claim import Claim
from dynamics.run import Run
from dynamics.setting import Setting
from noncollapse.budget import RANK, Budget
from noncollapse.errors import RecordError
from noncollapse.files import read_arrays, read_json
from noncollapse.records import provenance, write_arrays, write_json
from noncollapse.rungs import STANDARD_ERRORS
from noncollapse.sources import ROOT, hash_of, reached


def deep_names() -> list[str]:
    """Of all deep Settings; torch need not be loaded for them."""
    from full_models.deep_settings import DEEP

    return list(DEEP)


def deep_hash() -> str:
    """Hash of the code a deep run depends on."""
    return hash_of(reached(*(ROOT / "full_models" / f"{n}.py" for n in ("deep", "deep_settings"))))


def run_deep(results: Path, name: str, budget: Budget, device: str = "cpu") -> None:
    """Train one deep Setting over the budget's seeds and write results/deep/<name>.npz and .json."""
    from full_models.deep import train_deep
    from full_models.deep_settings import DEEP

    began = time.perf_counter()
    setting = DEEP[name]
    replicas = budget.deep_replicas if setting.network.kind == "mlp" else max(3, budget.deep_replicas // 2)
    run = train_deep(setting, replicas=replicas, device=device)
    write_arrays(results / "deep" / f"{name}.npz", {"t": run.t, **run.obs})
    made = {
        **provenance(),
        "budget": budget.name,
        "seconds": round(time.perf_counter() - began, 2),
        "sources": deep_hash(),
    }
    write_json(
        results / "deep" / f"{name}.json",
        {"setting": setting.to_dict(), "replicas": replicas, "device": device, "provenance": made},
    )


def deep_is_fresh(results: Path, name: str, budget: str) -> bool:
    """True if nothing would be gained by training again: same code, no smaller budget, and all of it can be read."""
    try:
        made = read_json(results / "deep" / f"{name}.json")["provenance"]
        fresh = made["sources"] == deep_hash() and RANK[made["budget"]] >= RANK[budget]
        return fresh and load_deep(results, name) is not None
    except (OSError, ValueError, KeyError, TypeError):
        return False


def load_deep(results: Path, name: str) -> Run | None:
    """A recorded deep Run; None if it has not been trained. Raises RecordError if the record is damaged, or half of it gone."""
    path = results / "deep" / f"{name}.npz"
    about = path.with_suffix(".json")
    if not path.is_file() and not about.is_file():
        return None
    try:
        arrays = read_arrays(path)
        setting = Setting.from_dict(read_json(about)["setting"])
        return Run(setting, "deep", arrays.pop("t"), arrays)
    except (OSError, ValueError, KeyError, TypeError):
        raise RecordError(f"{path} is not a readable deep record: `noncollapse verify` trains it anew") from None


def deep_runs(results: Path, claim: Claim) -> dict[str, Run]:
    """The recorded runs that the claim's gauge asks of, by name. Raises RecordError where one cannot be had."""
    asked = claim.transfer.deep if claim.transfer else ()
    unknown = [name for name in asked if name not in deep_names()]
    if unknown:
        raise RecordError(f"no deep Setting is called {', '.join(unknown)}: name some of {', '.join(deep_names())}")
    runs = {name: load_deep(results, name) for name in asked}
    missing = [name for name, run in runs.items() if run is None]
    if missing:
        raise RecordError(f"no deep record of {', '.join(missing)}: `noncollapse verify {claim.id}` trains it")
    return {name: run for name, run in runs.items() if run is not None}


def measure(claim: Claim, runs: Mapping[str, Run]) -> dict[str, Any]:
    """The claim's gauge over seeds: mean, standard error, n, and the outcome at 4 standard errors from 0."""
    if claim.transfer is None:
        raise ValueError(f"{claim.id} asks nothing of deep networks")
    values = np.asarray(claim.transfer.gauge(runs))
    if np.iscomplexobj(values):
        raise ArithmeticError(f"{claim.id}: the transfer gauge is complex: give real numbers, such as its modulus")
    values = values.astype(float)
    if values.ndim != 1 or len(values) < 2:
        raise ArithmeticError(
            f"{claim.id}: the transfer gauge has shape {values.shape}: give (R,), a number for each of at least 2 seeds"
        )
    if not np.isfinite(values).all():
        raise ArithmeticError(f"{claim.id}: the transfer gauge is not finite over its seeds")
    mean, error = float(values.mean()), float(values.std(ddof=1) / np.sqrt(len(values)))
    sure = abs(mean) > STANDARD_ERRORS * error
    outcome = ("follows" if mean > 0 else "departs") if sure else "undecided"
    return {
        "says": claim.transfer.says,
        "deep": list(claim.transfer.deep),
        "mean": mean,
        "se": error,
        "n": len(values),
        "outcome": outcome,
    }
