"""`noncollapse train [METHOD]`."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from noncollapse.errors import UsageError
from noncollapse.files import parsed
from noncollapse.verbs.common import made

if TYPE_CHECKING:
    from full_models.training import Recipe

# flag -> (field of Recipe, type, help); what is not given keeps the Recipe's own default
VALUES: dict[str, tuple[str, Any, str]] = {
    "--data": ("data", str, "digits, fashion-mnist, cifar10, stl10, a folder of images or an .npz (default digits)"),
    "--path": ("path", str, "where the named data set's files are, if not in their usual places"),
    "--count": ("count", int, "training images used (default all)"),
    "--net": ("encoder", str, "linear, deep-linear, mlp, resnet8, resnet18, vit-micro, vit-tiny (default the method's)"),
    "--width": ("width", int, "width of the network (default its published one)"),
    "--dim": ("dim", int, "dimension of the embedding"),
    "--augment": ("augmentation", str, "none, noise, mask, shift, flip, crop, crop-flip, crop-flip-colour, simclr (default crop)"),
    "--strength": ("strength", float, "strength of the augmentation"),
    "--epochs": ("epochs", int, "passes over the images (default 20)"),
    "--batch": ("batch", int, "images a step (default 256)"),
    "--optimiser": ("optimiser", str, "sgd, adamw, lars (default adamw)"),
    "--lr": ("lr", float, "largest learning rate (default 0.001)"),
    "--momentum": ("momentum", float, "of sgd and lars (default 0.9)"),
    "--weight-decay": ("weight_decay", float, "of matrices and kernels (default 0.0001)"),
    "--schedule": ("schedule", str, "constant, cosine (default cosine)"),
    "--warmup": ("warmup", float, "share of the steps in which the rate rises (default 0.05)"),
    "--precision": ("precision", str, "float32, bf16: networks under autocast, losses in float32 (default float32)"),
    "--records": ("records", int, "times that observables are measured (default 6)"),
    "--seed": ("seed", int, "of every random draw (default 0)"),
    "--device": ("device", str, "cpu, cuda, cuda:1, … (default cpu)"),
}  # fmt: skip

HEAD = ("dim", "hidden", "layers", "norm", "output_norm")
IDLE: dict[str, dict[str, tuple[str, ...]]] = {  # option -> its value -> the options that then mean nothing
    "projector": {"none": HEAD, "linear": HEAD[1:]},
    "predictor": {
        "none": ("predictor_hidden", "predictor_rate", "predictor_fixed"),
        "linear": ("predictor_hidden",),
        "symmetric": ("predictor_hidden",),
    },
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("method", nargs="?", metavar="METHOD", help="a method by name; without one, all are listed")
    for flag, (field, kind, says) in VALUES.items():
        parser.add_argument(flag, dest=field, type=kind, metavar=kind.__name__.upper(), help=says)
    parser.add_argument("--raw-pixels", action="store_true",
                        help="feed networks pixels in [0, 1], not standardised by the training images' moments")  # fmt: skip
    parser.add_argument("--channels-last", action="store_true", help="memory layout of images and kernels on a GPU")
    parser.add_argument("--compile", action="store_true", help="torch.compile the encoder")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="options",
                        help="an option of the method, such as tau=0.2 (repeatable)")  # fmt: skip
    parser.add_argument("--draw", action="store_true", help="also draw the run: record.png beside its record")
    again = parser.add_mutually_exclusive_group()
    again.add_argument(
        "--resume",
        action="store_true",
        help="go on from a checkpoint, which must be there (the same command does so by itself where there is one)",
    )
    again.add_argument("--restart", action="store_true", help="train anew, whatever is on disk")


def resumes(args: argparse.Namespace) -> bool:
    """True if the same command would go on from the last checkpoint."""
    return not args.restart


def run(args: argparse.Namespace) -> int:
    if args.method is None:
        if any(getattr(args, field) is not None for field, _, _ in VALUES.values()) or args.options:
            raise UsageError("no METHOD to train is named: see `noncollapse train`")
        return _list(args.json)
    recipe = _recipe(args)
    from noncollapse.training import folder_of, is_fresh, load, summary

    folder = folder_of(args.results, recipe)
    record = None if args.restart else load(folder)
    if record is None or not is_fresh(record):
        record = _train(args, recipe)
    if record is not None:
        if args.draw:
            from figures import draw_training

            print(f"drew {draw_training(folder)}", file=sys.stderr)
        print(json.dumps(record, indent=1) if args.json else "\n".join(summary(record, folder)))
    return 0


def _recipe(args: argparse.Namespace) -> Recipe:
    """Raises UsageError on an unknown method, else what Recipe raises."""
    import difflib

    from full_models.methods import METHODS
    from full_models.training import Recipe

    if args.method not in METHODS:
        near = difflib.get_close_matches(args.method, METHODS, 1)
        hint = f"did you mean {near[0]}?" if near else "see `noncollapse train`"
        raise UsageError(f"unknown method {args.method!r}: {hint}")
    given = {field: value for field, _, _ in VALUES.values() if (value := getattr(args, field)) is not None}
    options = _options(args.options)
    if args.dim is not None and "dim" in options:
        raise UsageError("--dim and --set dim say one thing twice: leave out one of them")
    _check_idle(args, options)
    flags = {"standardise": not args.raw_pixels, "channels_last": args.channels_last, "compile": args.compile}
    return Recipe(method=args.method, options=options, **flags, **given)


def _check_idle(args: argparse.Namespace, options: Mapping[str, Any]) -> None:
    """Raises UsageError on what was given and would be read by nothing."""
    from full_models.methods import METHODS

    if args.momentum is not None and args.optimiser in (None, "adamw"):
        raise UsageError("adamw takes no --momentum: leave it out, or give --optimiser sgd or lars")
    chosen = {**METHODS[args.method].options(), **options}
    given = [*options, *(["dim"] if args.dim is not None else [])]
    for option, values in IDLE.items():
        for name in values.get(str(chosen.get(option)), ()):
            if name in given:
                raise UsageError(
                    f"with {option}={chosen[option]} the option {name} means nothing: leave it out, or choose another {option}"
                )


def _options(texts: Sequence[str]) -> dict[str, Any]:
    """The options of every --set. Raises UsageError where one is named twice."""
    options: dict[str, Any] = {}
    for text in texts:
        name, value = _option(text)
        if name in options:
            raise UsageError(f"--set names {name} twice: name each option once")
        options[name] = value
    return options


def _option(text: str) -> tuple[str, Any]:
    """("tau", 0.2) of "tau=0.2": numbers and null as in JSON, true and false in any case, anything else a word."""
    name, equals, value = text.partition("=")
    if not (name and equals and value):
        raise UsageError(f"--set {text!r}: write KEY=VALUE, such as tau=0.2")
    try:
        plain = parsed(value.lower() if value.lower() in ("true", "false") else value)
    except json.JSONDecodeError:
        return name, value
    except ValueError as error:
        raise UsageError(f"--set {name}: its value cannot be read ({error}): give a number or a word") from None
    if isinstance(plain, int) and abs(plain) > sys.float_info.max:
        raise UsageError(f"--set {name} is larger than any float: give a number below 1e308")
    if isinstance(plain, (list, dict)):
        raise UsageError(f"--set {text!r}: give a number, true, false, null or a word")
    return name, plain


def _train(args: argparse.Namespace, recipe: Recipe) -> dict[str, Any] | None:
    """Train with a progress bar and write the record; None on every process of several but the first."""
    from tqdm import tqdm

    from full_models.training import checkpoint, train
    from noncollapse.training import folder_of, save, unfinished, version_of

    folder, version = folder_of(made(args.results), recipe), version_of(recipe)
    if args.resume:
        saved = checkpoint.read(folder, "cpu")
        if saved is None or saved["version"] != version:
            raise UsageError(
                f"nothing that this code can resume on these data in {folder}: leave out --resume to train anew"
            )
    first = os.environ.get("RANK", "0") == "0"  # torchrun starts several processes; one of them speaks
    hidden = True if os.environ.get("CI") is not None or not first else None
    with tqdm(desc=recipe.method, unit="step", file=sys.stderr, disable=hidden) as bar:

        def on_step(done: int, steps: int) -> None:
            if bar.total is None:  # a resumed run starts where it stopped, and its estimate counts from there
                bar.total, bar.initial, bar.n = steps, done - 1, done - 1
            bar.update(done - bar.n)

        try:
            run = train(recipe, folder, resume=not args.restart, on_step=on_step, version=version)
        except ValueError as error:
            bar.close()
            if first and bar.total:  # some steps were made: what they measured is shown, and not only lies on disk
                print("\n".join(unfinished(folder, int(bar.total), recipe.records)), file=sys.stderr)
            raise UsageError(_in_plain_words(error)) from None
        except RuntimeError as error:
            if not (recipe.compile and type(error).__module__.startswith(("torch._inductor", "torch._dynamo"))):
                raise
            bar.close()
            why = str(error).splitlines()[0]
            raise UsageError(f"torch cannot compile the encoder here ({why}): leave out --compile") from None
    return save(folder, run) if first else None


def _in_plain_words(error: ValueError) -> str:
    if str(error).startswith("Expected more than 1 value per channel"):  # torch's, with shapes inside a network
        return "batch norm needs at least 2 images a step: give a larger --batch"
    return str(error)


def _list(as_json: bool) -> int:
    from full_models.methods import METHODS

    if as_json:
        table = [
            {
                "method": name,
                "says": spec.says,
                "collapses": spec.collapses,
                "source": spec.paper,
                "options": spec.options(),
            }
            for name, spec in METHODS.items()
        ]
        print(json.dumps(table, indent=1))
        return 0
    print(f"{'method':<28} {'what it is':<62} source")
    for name, spec in METHODS.items():
        print(f"{name:<28} {spec.says:<62} {spec.paper}")
    print("train one with `noncollapse train METHOD`; options of each: `noncollapse train --json`")
    return 0
