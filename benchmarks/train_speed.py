"""Steps and images per second of every method, and replicas batched by torch.func against a Python loop over them.

`python -m benchmarks.train_speed [--quick] [--device cuda] [--net resnet18 --data cifar10 --batch 1024 --precision bf16
--channels-last]`: on a GPU the same command measures the same things there. `--methods` and `--replicas` measure some of it;
the record notes what was asked for. Images are source images, two views each. MiB: the peak of the memory that a few steps take
beyond that of a small network's, in a process of its own (on the CPU).
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Callable, Sequence
from functools import partial
from itertools import count
from typing import Any

from benchmarks.harness import exponent, limits, measure, peak_memory, write  # first: it sets the thread counts

import torch  # isort: skip

from full_models.device import usable
from full_models.methods import METHODS
from full_models.parallel import World
from full_models.replicas import take_step
from full_models.stack import stacked
from full_models.training import Recipe
from full_models.training.material import batches, material
from full_models.training.steps import make_method, make_optimiser, step_loss

MASKED = ("i-jepa", "mae", "v-jepa")  # they need patches: a small transformer
QUICK = ("simclr", "vicreg", "byol", "supervised")
REPLICAS = (1, 8, 32, 128)
LINEAR = Recipe(method="simclr", encoder="linear", width=16, dim=16, batch=64, count=256, optimiser="sgd",
                augmentation="noise", options={"projector": "none"})  # fmt: skip
REPLICA_RECIPE = ("data", "batch", "count", "augmentation", "optimiser", "precision")  # what their note says
MANY = 10**6  # steps of a schedule that is never finished here


def stepper(recipe: Recipe) -> Callable[[], None]:
    """A function that takes the recipe's next training step and waits for it."""
    device = usable(recipe.device)
    fed = material(recipe, device)
    method = make_method(recipe, fed.train.shape).to(device).train()
    if recipe.channels_last:
        method.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]  missing in torch's stub
    if recipe.compile:
        method.encoder.compile()
    optimiser, steps = make_optimiser(recipe, method), count()
    order = batches(recipe, len(fed.train), 0, World(), device)

    def step() -> None:
        i = next(steps)
        loss = step_loss(method, method, recipe, fed, next(order), i)
        if optimiser is not None:
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
            method.after_step(i, MANY)

    return step


def timed(step: Callable[[], None], steps: int, repeats: int, device: str) -> float:
    """Median seconds a step, the device's queue emptied at the end of each repeat."""

    def run() -> None:
        for _ in range(steps):
            step()
        if device.startswith("cuda"):
            torch.cuda.synchronize()

    return measure(run, repeats).median / steps


def of_method(recipe: Recipe, steps: int, repeats: int, remember: bool) -> dict[str, Any]:
    """One line: with the recipe's augmentation and with none."""
    whole, bare = (
        timed(stepper(dataclasses.replace(recipe, augmentation=name)), steps, repeats, recipe.device)
        for name in (recipe.augmentation, "none")
    )
    return {
        "workload": recipe.method, "net": recipe.encoder, "batch": recipe.batch, "ms a step": 1e3 * whole,
        "steps/s": 1 / whole, "images/s": recipe.batch / whole, "images/s, no augmentation": recipe.batch / bare,
        **(memory(partial(stepper, recipe), recipe.device) if remember else {}),
    }  # fmt: skip


def few(make: Callable[[], Callable[[], None]]) -> None:
    """Three steps of what `make` returns; picklable with it, for the process in which memory is measured."""
    torch.set_num_threads(1)
    step = make()
    for _ in range(3):
        step()


def memory(make: Callable[[], Callable[[], None]], device: str) -> dict[str, float]:
    """MiB at the peak of a few steps, where it is the machine's own memory that they take."""
    if usable(device) != "cpu":
        return {}
    return {"MiB": peak_memory(partial(few, make), partial(few, partial(stepper, LINEAR)), fresh=True)}


def alone(R: int, device: str) -> list[Recipe]:
    """Of R linear networks: seeds, and 4 rates a seed where R allows."""
    rates = [1e-3 * 2.0**-i for i in range(min(R, 4))]
    base = dataclasses.replace(LINEAR, device=device)
    return [dataclasses.replace(base, seed=seed, lr=lr) for seed in range(max(1, R // 4)) for lr in rates]


def together(R: int, device: str) -> Callable[[], None]:
    """A function that takes the next step of R linear networks in one batch."""
    each, number = alone(R, device), count()
    firsts = each[:: min(R, 4)]  # of each seed, whose rates share its data
    fed = [material(recipe, device) for recipe in firsts]
    stack = stacked(each, fed[0].train.shape, device)
    order = [batches(recipe, len(f.train), 0, World(), device) for recipe, f in zip(firsts, fed, strict=True)]

    def step() -> None:
        take_step(stack, each, fed, [next(o) for o in order], next(number), MANY)

    return step


def looped(R: int, device: str) -> Callable[[], None]:
    """A function that takes the next step of R linear networks, one after another."""
    steps = [stepper(recipe) for recipe in alone(R, device)]

    def step() -> None:
        for one in steps:
            one()

    return step


def of_replicas(R: int, steps: int, repeats: int, device: str, remember: bool) -> dict[str, Any]:
    """R linear networks in one batch, against a loop over `stepper`s."""
    fast, slow = (timed(make(R, device), steps, repeats, device) for make in (together, looped))
    return {"workload": f"{R} replicas of linear simclr", "net": "linear", "batch": LINEAR.batch, "ms a step": 1e3 * fast,
            "replica-steps/s": R / fast, "of a loop": R / slow, "times faster": slow / fast,
            **(memory(partial(together, R, device), device) if remember else {})}  # fmt: skip


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="four methods, two sizes, three repeats; nothing written")
    parser.add_argument("--methods", nargs="+", choices=tuple(METHODS), metavar="NAME")
    parser.add_argument("--replicas", nargs="*", type=int, metavar="R", help="numbers of replicas (default 1 8 32 128)")
    parser.add_argument("--data", default="digits")
    parser.add_argument("--path")
    parser.add_argument("--net", default="mlp")
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--augment", default="crop")
    parser.add_argument("--precision", default="float32")
    parser.add_argument("--channels-last", action="store_true")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args(words)
    base = Recipe(data=args.data, path=args.path, encoder=args.net, batch=args.batch, augmentation=args.augment,
                  precision=args.precision, channels_last=args.channels_last, compile=args.compile, device=args.device)  # fmt: skip
    steps, repeats = (5, 3) if args.quick else (20, 5)
    given = ("data", "batch", "augment", "precision", "channels_last", "compile")
    methods = args.methods or (QUICK if args.quick else tuple(METHODS))
    replicas = args.replicas if args.replicas is not None else REPLICAS[:2] if args.quick else REPLICAS
    notes = {
        "device": args.device,
        "asked for": {"methods": " ".join(args.methods) if args.methods else "every one", "replicas": list(replicas)},
        "recipe of the rows of one method": {name: getattr(args, name) for name in given},
        "recipe of the rows of replicas": {name: getattr(LINEAR, name) for name in REPLICA_RECIPE},
        "images/s": "source images, two views each",
        "limits of one thread": limits(),
    }
    if usable(args.device) != "cpu":
        notes["GPU"] = torch.cuda.get_device_name(args.device)
    rows = []

    def keep(row: dict[str, Any]) -> None:
        """Written one by one: what is measured stays if the rest is not reached."""
        rows.append(row)
        print(row, flush=True)
        if not args.quick:
            write("train_speed" if args.device == "cpu" else "train_speed_gpu", rows, notes)

    for method in methods:
        net = "vit-micro" if method in MASKED and not args.net.startswith("vit") else args.net
        recipe = dataclasses.replace(base, method=method, encoder=net)
        slow = method in MASKED and args.device == "cpu"  # where one of their steps takes a second
        keep(of_method(recipe, 2 if slow else steps, repeats, not args.quick))
    batched = []
    for R in replicas:
        batched.append(of_replicas(R, steps, repeats, args.device, not args.quick))
        notes |= {"ms a step of replicas grow with their number to the power": {
            "in one batch": exponent(replicas[: len(batched)], [r["ms a step"] for r in batched]),
            "in a loop": exponent(replicas[: len(batched)], [R / r["of a loop"] for R, r in zip(replicas, batched, strict=False)]),
        }} if len(batched) > 1 else {}  # fmt: skip
        keep(batched[-1])


if __name__ == "__main__":
    main()
