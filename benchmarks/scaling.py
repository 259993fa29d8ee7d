"""What 10^9 trajectories and ImageNet-scale transfer runs would need, from costs measured here. `python -m benchmarks.scaling`.

Writes benchmarks/SCALING.md. Every cost is read from benchmarks/results/*.json (the full form where there is one, else the
quick one); what is assumed and not measured stands in ASSUMED and is called that in the text.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.harness import HOME, table  # first: it sets the thread counts

import torch  # isort: skip
from torch.utils.flop_counter import FlopCounterMode

from full_models.losses.blocked import BLOCK
from full_models.networks import encoder

PAGE = Path(__file__).resolve().parent / "SCALING.md"
TRAJECTORIES = 1e9
CORES = (2, 64, 1000)
CHUNK = 1e6  # trajectories a task: 72 MB of starts and parameters
SGD_RUNS, SGD_STEPS, SGD_RATES = 1000, 1e5, 8
ASSUMED = {
    "ResNet-50, forward, 224 x 224 (He et al. 2016), GFLOP an image": 2 * 4.1,  # 4.1e9 multiply-adds
    "ImageNet-1k training images": 1.281e6,
    "epochs of a transfer run": 100,
    "kB of JPEG an image": 110,
    "share of its product rate a card reaches in training": 0.4,
}
CARDS = {"a card of 100 TFLOP/s": 100.0, "a card of 400 TFLOP/s": 400.0, "a card of 800 TFLOP/s": 800.0}
PASSES = {  # forward passes of one image-pair step, in units of one image; a backward pass costs two forwards
    "SimCLR, SimSiam, VICReg, Barlow Twins (two views, forward and backward)": 2 * 3,
    "BYOL (two views, and two forwards of the target)": 2 * 3 + 2,
    "MoCo (one view, and one forward of the target)": 3 + 1,
}


class NotMeasured(ValueError):
    """A result this page stands on is missing; the message gives the command that makes it."""


def load(name: str) -> tuple[dict[str, Any], str]:
    """(the JSON, its file's name) of a benchmark, full before quick."""
    for path in (HOME / f"{name}.json", HOME / f"{name}-quick.json"):
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


@dataclass(frozen=True)
class Handing:
    """What an engine of sweeps takes, measured: seconds until its workers run, and a task, which one process hands out."""

    start: float
    task: float

    def wall(self, work: float, tasks: float, cores: int) -> float:
        """Seconds for so many seconds of work: no less than the tasks take to be handed out one after another."""
        return self.start + max(work / cores, tasks * self.task)


def handing(name: str) -> tuple[Handing, str]:
    """The engine of that name, of a sweep with records, and the file that says so."""
    data, source = load("sweeps")
    row = find(data["rows"], work="empty", method=f"sweep, {name}")
    return Handing(row["start_s"], row["ms_per_task"] / 1e3), source


def trajectories() -> list[str]:
    """Section: 10^9 per-mode trajectories."""
    data, source = load("modes")
    pool, swept = handing("all cores")
    cluster, _ = handing("dask")
    rows, tasks = [], TRAJECTORIES / CHUNK
    for problem in ("mild", "stiff"):
        micro = find(data["rows"], problem=problem, method="noncollapse")["us_per_trajectory"]
        work = TRAJECTORIES * micro / 1e6
        rows.append({"problem": problem, "µs a trajectory": micro, "core-hours": work / 3600, "a task": duration(CHUNK * micro / 1e6)}
                    | {f"{n} cores, {name}": duration(engine.wall(work, tasks, n)) for n, name, engine in
                       ((2, "processes", pool), (64, "processes", pool), (1000, "dask", cluster))})  # fmt: skip
    size = TRAJECTORIES * 3 * 8 / 1e9
    return [
        "## 10^9 trajectories of one mode", "",
        f"From `results/{source}` and `results/{swept}`. Trajectories do not interact, so time divides by the cores; {tasks:.0f} tasks "
        f"of 10^{math.log10(CHUNK):.0f} go through `noncollapse.sweep`, which hands them out and records them in one process: {1e3 * pool.task:.2g} ms a task to "
        f"processes and {1e3 * cluster.task:.2g} ms to dask's workers, after {pool.start:.2g} and {cluster.start:.2g} s in which these start. "
        "Times are the start and the larger of work over cores and tasks handed out; that dask's cost a task is the same over a network is assumed.", "",
        *table(rows), "",
        f"All end states are {size:.0f} GB; a phase diagram keeps a label (int8) and a time (float32) of each, "
        f"{TRAJECTORIES * (1 + 4) / 1e9:.0f} GB. `sweep` holds every result in the process that hands out, and writes it as JSON text: a task of this size "
        "returns counts in a fixed number of bins, or writes its arrays to a file of its own and returns its name.", "",
    ]  # fmt: skip


def ensembles() -> list[str]:
    """Section: a thousand SGD runs."""
    data, source = load("sgd")
    micros = {name: {(r["d"], r["batch"]): r for r in data["rows"] if r["method"] == name and r["dtype"] == "float64"}
              for name in ("noncollapse", "noncollapse, one rate")}  # fmt: skip
    on_gpu, gpu_source = load("sgd_gpu")
    shared = {(r["d"], r["batch"]): r["us_per_run_step"] for r in on_gpu["rows"]
              if r["method"] == "noncollapse, 8 rates" and r["dtype"] == "float64"}  # fmt: skip
    seeds = math.ceil(SGD_RUNS / SGD_RATES)

    def on_cores(n: int, at: tuple[int, int]) -> str:
        """Whole seeds of all rates to a core; where there are more cores than seeds, whole runs, which share no batch."""
        runs, name = (math.ceil(seeds / n) * SGD_RATES, "noncollapse") if n <= seeds else (math.ceil(SGD_RUNS / n), "noncollapse, one rate")  # fmt: skip
        return duration(runs * SGD_STEPS * micros[name][at]["us_per_run_step"] / 1e6)

    rows = [{"d = k": at[0], "batch": at[1], "µs a run and step": r["us_per_run_step"], "share of the bound": r["share_of_bound"]}
            | {f"{n} cores": on_cores(n, at) for n in CORES}
            | {f"one {on_gpu['notes']['GPU']}": duration(SGD_RUNS * SGD_STEPS * micro / 1e6) if (micro := shared.get(at)) else None}
            for at, r in micros["noncollapse"].items()]  # fmt: skip
    return [
        f"## {SGD_RUNS} SGD runs of {SGD_STEPS:.0e} steps", "",
        f"From `results/{source}` and `results/{gpu_source}`, float64, {SGD_RATES} learning rates on one batch. Runs divide by seeds (`seed0`): {SGD_RUNS} runs of "
        f"{SGD_RATES} rates are {seeds} seeds; on more cores than that each run draws its own batches, at the cost of one rate.", "",
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
        *(f"- {name}: {value:g}" for name, value in ASSUMED.items()), "",
        *table(rows), "",
        "A transfer axis of one figure (four weight decays x two EMA rates x five seeds) is forty such runs. Each reads "
        f"{1e-6 * ASSUMED['ImageNet-1k training images'] * ASSUMED['kB of JPEG an image']:.3g} GB of JPEG an epoch if nothing is cached, and "
        "decodes every image once for its two views.", "",
    ]  # fmt: skip


def page() -> str:
    """The text of SCALING.md. Raises NotMeasured where a result is missing."""
    parts = [trajectories(), ensembles(), contrastive(), imagenet()]
    about = load("modes")[0]["provenance"]
    head = [
        "# Beyond one machine", "",
        "Written by `python -m benchmarks.scaling` from the results of the other benchmarks; do not edit. Costs measured on "
        f"{about['machine']['processor']} ({about['date'][:10]}, load {about['load']}); what was only assumed is called so.", "",
    ]  # fmt: skip
    return "\n".join([*head, *(line for part in parts for line in part)]).rstrip() + "\n"


def main() -> int:
    try:
        PAGE.write_text(page())
    except NotMeasured as error:
        print(error, file=sys.stderr)
        return 1
    print(PAGE.read_text())
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
