"""What 10^9 trajectories and ImageNet-scale transfer runs would need, from costs measured here. `python -m benchmarks.scaling`.

Writes benchmarks/SCALING.md. Every cost is read from benchmarks/results/*.json (the full form where there is one, else the
quick one); what is assumed and not measured stands in ASSUMED and is called that in the text.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.harness import RESULTS, table  # first: it sets the thread counts

import torch  # isort: skip
from torch.utils.flop_counter import FlopCounterMode

from full_models.losses.blocked import BLOCK
from full_models.networks import encoder

TRAJECTORIES = 1e9
CORES = (2, 64, 1000)
CHUNK = 1e5  # trajectories a task
SGD_RUNS, SGD_STEPS = 1000, 1e5
ASSUMED = {
    "ResNet-50, forward, 224 x 224 (He et al. 2016), GFLOP an image": 2 * 4.1,  # 4.1e9 multiply-adds
    "ImageNet-1k training images": 1.281e6,
    "epochs of a transfer run": 100,
    "kB of JPEG an image": 110,
    "seconds a task costs its engine": 0.01,
    "share of its product rate a card reaches in training": 0.4,
}
CARDS = {"a card of 100 TFLOP/s": 100.0, "a card of 400 TFLOP/s": 400.0, "a card of 800 TFLOP/s": 800.0}
PASSES = {  # forward passes of one image-pair step, in units of one image; a backward pass costs two forwards
    "SimCLR, SimSiam, VICReg, Barlow Twins (two views, forward and backward)": 2 * 3,
    "BYOL, MoCo (two views, and two forwards of the target)": 2 * 3 + 2,
}


class NotMeasured(ValueError):
    """A result this page stands on is missing; the message gives the command that makes it."""


def load(name: str) -> tuple[dict[str, Any], str]:
    """(the JSON, its file's name) of a benchmark, full before quick."""
    for path in (RESULTS / f"{name}.json", RESULTS / f"{name}-quick.json"):
        if path.is_file():
            return json.loads(path.read_text()), path.name
    raise NotMeasured(f"no result of {name}: run `python -m benchmarks.{name}` first")


def duration(seconds: float) -> str:
    """In the unit a person would use."""
    for unit, size in (("years", 365.25 * 86400), ("days", 86400.0), ("hours", 3600.0), ("minutes", 60.0)):
        if seconds >= 2 * size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds:.3g} s"


def find(rows: Sequence[dict[str, Any]], **wanted: Any) -> dict[str, Any]:
    """The largest row (by members, N) with these values."""
    found = [r for r in rows if all(r.get(key) == value for key, value in wanted.items()) and "skipped" not in r]
    if not found:
        raise NotMeasured(f"no row with {wanted}: run the benchmarks again")
    return max(found, key=lambda r: r.get("members", r.get("N", 0)))


def trajectories() -> list[str]:
    """Section: 10^9 per-mode trajectories."""
    data, source = load("modes")
    rows = []
    for problem in ("mild", "stiff"):
        micro = find(data["rows"], problem=problem, method="noncollapse")["us_per_trajectory"]
        total = TRAJECTORIES * micro / 1e6
        overhead = TRAJECTORIES / CHUNK * ASSUMED["seconds a task costs its engine"]
        rows.append({"problem": problem, "µs a trajectory": micro, "core-hours": total / 3600, "a task of 10^5": duration(CHUNK * micro / 1e6),
                     "engine's share": f"{overhead / total:.1%}"}
                    | {f"{n} cores": duration(total / n) for n in CORES})  # fmt: skip
    size = TRAJECTORIES * 3 * 8 / 1e9
    return [
        "## 10^9 trajectories of one mode", "",
        f"From `results/{source}`. Trajectories do not interact, so time divides by the cores; {TRAJECTORIES / CHUNK:.0f} tasks "
        "of 10^5 go through `noncollapse.sweep`, whose cost a task is assumed, not measured.", "",
        *table(rows), "",
        f"Keeping all end states takes {size:.0f} GB; a phase diagram keeps a label (int8) and a time (float32) of each, "
        f"{TRAJECTORIES * (1 + 4) / 1e9:.0f} GB, or counts in a fixed number of bins. Compressed records of a chunk go to its own file, so the "
        "first thing to outgrow one machine is the folder, not the integrator.", "",
    ]  # fmt: skip


def ensembles() -> list[str]:
    """Section: a thousand SGD runs."""
    data, source = load("sgd")
    ours = [r for r in data["rows"] if r["method"] == "noncollapse" and r["dtype"] == "float64"]
    on_gpu, gpu_source = load("sgd_gpu")
    shared = {(r["d"], r["batch"]): r["us_per_run_step"] for r in on_gpu["rows"]
              if r["method"] == "noncollapse, 8 rates" and r["dtype"] == "float64"}  # fmt: skip
    total = lambda micro: SGD_RUNS * SGD_STEPS * micro / 1e6  # noqa: E731
    rows = [{"d = k": r["d"], "batch": r["batch"], "µs a run and step": r["us_per_run_step"], "share of the bound": r["share_of_bound"]}
            | {f"{n} cores": duration(total(r["us_per_run_step"]) / n) for n in CORES}
            | {f"one {on_gpu['notes']['GPU']}": duration(total(micro)) if (micro := shared.get((r["d"], r["batch"]))) else None}
            for r in ours]  # fmt: skip
    return [
        f"## {SGD_RUNS} SGD runs of {SGD_STEPS:.0e} steps", "",
        f"From `results/{source}` and `results/{gpu_source}`, float64, 8 learning rates on one batch. Runs divide by seeds (`seed0`): 1000 runs of 8 rates are "
        "125 seeds, so beyond 125 cores the batches must be drawn more than once.", "",
        *table(rows), "",
    ]  # fmt: skip


def contrastive() -> list[str]:
    """Section: InfoNCE of a very large batch."""
    data, source = load("infonce")
    best = find(data["rows"], method="blocked", dtype="float32", d=128)
    rate = best["seconds"] / best["N"] ** 2
    rows = [{"N": n, "one value and gradient": duration(rate * n**2), "N x N in float32, GB": 4e-9 * n**2,
             "a block and two gradients, GB": 1e-9 * n * (BLOCK + 8 * 128)} for n in (65_536, 262_144, 1_048_576)]  # fmt: skip
    return [
        "## InfoNCE of a large batch", "",
        f"From `results/{source}`, one core, float32, d = 128, measured at N = {best['N']} and carried on as N². Rows divide among "
        "workers: each needs all keys (512 bytes a sample) and sends one gradient of that size.", "",
        *table(rows), "",
    ]  # fmt: skip


def rate_in_training(run: dict[str, Any]) -> float:
    """TFLOP/s of the recorded SimCLR steps of a ResNet-18: images/s, two views each, forward and backward of 32 x 32 pixels."""
    row = next(r for r in run["rows"] if (r["workload"], r["net"]) == ("simclr", "resnet18"))
    network = encoder("resnet18", (3, 32, 32), generator=torch.Generator().manual_seed(0)).eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(torch.zeros(1, 3, 32, 32))
    return 1e-12 * row["images/s"] * 2 * 3 * counter.get_total_flops()


def imagenet() -> list[str]:
    """Section: deep transfer runs."""
    data, source = load("infonce")
    trained, trained_source = load("train_speed_gpu")
    card, measured = trained["notes"]["GPU"], rate_in_training(trained)
    here = data["notes"]["limits of this machine"]["products float32, GFLOP/s"]
    share = ASSUMED["share of its product rate a card reaches in training"]
    step = ASSUMED["ResNet-50, forward, 224 x 224 (He et al. 2016), GFLOP an image"]
    images = ASSUMED["ImageNet-1k training images"] * ASSUMED["epochs of a transfer run"]
    rows = []
    for method, passes in PASSES.items():
        flops = 1e9 * step * passes * images
        rows.append({"method": method, "FLOP": f"{flops:.2e}", "this core at its full product rate": duration(flops / (1e9 * here))}
                    | {f"an {card}, as measured": duration(flops / (1e12 * measured))}
                    | {name: duration(flops / (1e12 * rate * share)) for name, rate in CARDS.items()})  # fmt: skip
    return [
        "## ImageNet-scale transfer runs", "",
        f"On paper. Measured are the core's product rate ({here:.3g} GFLOP/s, `results/{source}`) and what an {card} does in SimCLR's "
        f"steps of a ResNet-18 on 32 x 32 pixels ({measured:.3g} TFLOP/s, `results/{trained_source}`); the other cards' rates and all of the following are assumed:", "",
        *(f"- {name}: {value:g}" for name, value in ASSUMED.items() if not name.startswith("seconds")), "",
        *table(rows), "",
        "A transfer axis of one figure (four weight decays x two EMA rates x five seeds) is forty such runs. Each reads "
        f"{1e-6 * ASSUMED['ImageNet-1k training images'] * ASSUMED['kB of JPEG an image']:.3g} GB of JPEG an epoch if nothing is cached, and "
        "decodes every image once for its two views.", "",
    ]  # fmt: skip


def main() -> int:
    try:
        parts = [trajectories(), ensembles(), contrastive(), imagenet()]
        about = load("modes")[0]["provenance"]
    except NotMeasured as error:
        print(error, file=sys.stderr)
        return 1
    head = [
        "# Beyond one machine", "",
        "Written by `python -m benchmarks.scaling` from the results of the other benchmarks; do not edit. Costs measured on "
        f"{about['machine']['processor']} ({about['date'][:10]}, load {about['load']}); what was only assumed is called so.", "",
    ]  # fmt: skip
    path = Path(__file__).resolve().parent / "SCALING.md"
    path.write_text("\n".join([*head, *(line for part in parts for line in part)]).rstrip() + "\n")
    print(path.read_text())
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
