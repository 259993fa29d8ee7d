"""The command line. Exit codes: 0 done; 1 a verdict differs from the ledger, or proof and numbers disagree; 2 bad input;
130 interrupted, 143 the same by SIGTERM, as batch systems send it.

Only the module of the verb that was asked for is loaded: `--help` imports neither numpy, sympy nor torch.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path
from typing import Any

from dynamics.setting import SettingError
from noncollapse.errors import STARTS_ANEW, RecordError, UsageError
from noncollapse.memory import is_full, words_of

VERBS = {  # verb -> (its module in noncollapse.verbs, one line of help, examples)
    "list": ("listing", "list the claims with their verdicts", ("list", "list --json")),
    "show": (
        "show",
        "show one claim: statement, assumptions, proof, evidence",
        ("show byol-fixed-point", "show byol-fixed-point --json"),
    ),
    "verify": (
        "verify",
        "climb the ladder for some or all claims and write their records",
        (
            "verify",
            "verify byol-fixed-point --budget standard",
            'verify invariance-flow --setting \'{"seed": 3, "objective": {"loss": "invariance"}}\' --rung flow',
            "verify --publish",
        ),
    ),
    "sweep": (
        "sweep",
        "a claim's residual over a grid of Settings, on this machine's cores or an existing cluster",
        (
            "sweep byol-three-conditions --over training.eta=0:0.3:7",
            "sweep invariance-flow --rung sgd --over seed=0:7:8 --over training.batch=16,64",
            "sweep byol-flow-W --over objective.target=online,ema --engine processes:2",
        ),
    ),
    "draw": ("draw", "draw figures from the records", ("draw", "draw byol-fixed-point")),
    "train": (
        "train",
        "train any method, from linear to deep, and write its record",
        (
            "train",
            "train simclr",
            "train vicreg --data fashion-mnist --net resnet8 --epochs 5 --seed 1",
            "train simsiam --set predictor=linear --optimiser sgd --lr 0.05",
            "train moco --set queue=512 --set tau=0.1 --resume",
        ),
    ),
    "phase": (
        "phase",
        "draw a phase diagram of one mode: where it collapses, and how fast",
        (
            "phase",
            "phase --x eta=0:0.3 --y p0=0:1 --size 1000",
            "phase --x p0=-0.6:1.2 --y w0=0:1.2 --set eta=0.1",
            "phase --x beta=0.01:100:log --y p0=0.02:1 --set eta=0.12 --set tau0=0",
        ),
    ),
    "report": ("report", "write results/report.html from the records", ("report",)),
}
AGAIN = 0.01  # seconds after which a swallowed interrupt comes again: past the finaliser
CODES = "exit codes: 0 done; 1 a verdict differs from the ledger or is an error; 2 bad input; 130 interrupted (143 by SIGTERM)"


class _Parser(argparse.ArgumentParser):
    as_json = False  # the words asked for JSON: errors too are given so

    def error(self, message: str) -> Any:
        raise SystemExit(_fail(f"{message}; see `{self.prog} --help`", self.as_json))

    def _print_message(self, message: str, file: Any = None) -> None:
        (file or sys.stderr).write(message)  # argparse's own says nothing of a disk that is full


class _Version(argparse.Action):
    def __call__(self, *_: Any, **__: Any) -> None:
        from importlib.metadata import version

        print(version("noncollapse"))
        raise SystemExit(0)


class Terminated(KeyboardInterrupt):
    """SIGTERM: what an interrupt does on the way out, closing the workers above all, is done."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code and never shows a traceback for bad input."""
    words = list(sys.argv[1:] if argv is None else argv)
    for closed in (name for name in ("stdout", "stderr") if getattr(sys, name) is None):  # by the shell's >&-
        setattr(sys, closed, Path(os.devnull).open("w"))  # noqa: SIM115  for as long as the process lives
    if isinstance(sys.stdout, io.TextIOWrapper):
        # a terminal without Unicode shows \u1d40 where it lacks a letter
        sys.stdout.reconfigure(errors="backslashreplace")
    _Parser.as_json = "--json" in words
    args = _parsed(words)
    with _terminable():
        return _run(args)


def _parsed(words: Sequence[str]) -> argparse.Namespace:
    """Raises SystemExit on bad input, and after help or version, which are all that was asked."""
    try:
        try:
            return parser(words).parse_args(words)
        finally:
            sys.stdout.flush()  # as in `_run`
    except BrokenPipeError:
        _drop_output()
        raise SystemExit(0) from None
    except OSError as error:
        raise SystemExit(_fail(str(error), _Parser.as_json)) from None


@contextmanager
def _terminable() -> Iterator[None]:
    """SIGTERM raises Terminated inside the block. An interrupt or SIGTERM that meets a finaliser, or a callback of an import, is
    no exception to those around: Python reports it and goes on. Here it comes again."""

    def stop(*_: object) -> None:
        raise Terminated

    def ignored(what: Any) -> None:
        if not issubclass(what.exc_type, KeyboardInterrupt):
            hook(what)
            return
        number = signal.SIGTERM if issubclass(what.exc_type, Terminated) else signal.SIGINT
        again = threading.Timer(AGAIN, signal.pthread_kill, (threading.main_thread().ident, number))
        again.daemon = True
        again.start()

    before, hook = signal.signal(signal.SIGTERM, stop), sys.unraisablehook
    sys.unraisablehook = ignored
    try:
        yield
    finally:
        sys.unraisablehook = hook
        signal.signal(signal.SIGTERM, before)


def _run(args: argparse.Namespace) -> int:
    try:
        _check(args)
        code = args.run(args)
        sys.stdout.flush()  # now, while a full disk can still be said
        return code
    except BrokenPipeError:
        _drop_output()
        return 0  # the reader of a pipe has seen enough
    except (UsageError, SettingError, RecordError, OSError) as error:
        return _fail(str(error), args.json)
    except (MemoryError, RuntimeError) as error:
        if not is_full(error):
            raise
        return _fail(f"memory is too small ({words_of(error)}): give a smaller batch, network or setting", args.json)
    except KeyboardInterrupt as stop:
        kept = "interrupted: what was computed is kept, the same command goes on from there"
        says = kept if args.resumes(args) else STARTS_ANEW
        return _fail(says, args.json, 143 if isinstance(stop, Terminated) else 130)


def _check(args: argparse.Namespace) -> None:
    """Raises UsageError on what no verb could use."""
    there = next((place for place in (args.results, *args.results.parents) if place.exists()), None)
    if there is not None and not there.is_dir():
        raise UsageError(f"--results {args.results}: {there} is a file: name a folder")
    if getattr(args, "jobs", 1) < 1:
        raise UsageError(f"-j {args.jobs}: give at least 1 process")


def parser(words: Sequence[str]) -> argparse.ArgumentParser:
    """All verbs by name; arguments only of the one that `words` asks for. What every verb takes may also stand before it."""
    out = _Parser("noncollapse", description="Check claims on latent prediction and collapse, from proof to deep network.",
                  epilog=CODES, allow_abbrev=False)  # fmt: skip
    _add_common(out, Path("results"), False)
    out.add_argument("--version", action=_Version, nargs=0, default=argparse.SUPPRESS, help="show the version and exit")
    verbs = out.add_subparsers(dest="verb", required=True, parser_class=_Parser, metavar="VERB")
    asked = _verb_of(words)
    for name, (module, help_, examples) in VERBS.items():
        lines = "\n".join(f"  noncollapse {example}" for example in examples)
        sub = verbs.add_parser(name, help=help_, description=help_, epilog=f"examples:\n{lines}\n\n{CODES}",
                               formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
        # where not given here, what stands before the verb holds
        _add_common(sub, argparse.SUPPRESS, argparse.SUPPRESS)
        if name == asked:
            verb = import_module(f"noncollapse.verbs.{module}")
            verb.add_arguments(sub)
            sub.set_defaults(run=verb.run, resumes=getattr(verb, "resumes", lambda args: False))
    return out


def _add_common(parser: argparse.ArgumentParser, results: Any, as_json: Any) -> None:
    parser.add_argument("--results", type=Path, default=results, metavar="DIR", help="records (default: results)")
    parser.add_argument("--json", action="store_true", default=as_json, help="machine-readable output")


def _verb_of(words: Sequence[str]) -> str | None:
    """The first word that is no option, nor an option's value."""
    common = _Parser("noncollapse", add_help=False, allow_abbrev=False)
    _add_common(common, None, False)
    return next((word for word in common.parse_known_args(words)[1] if not word.startswith("-")), None)


def _fail(message: str, as_json: bool, code: int = 2) -> int:
    try:
        if as_json:
            print(json.dumps({"error": message}))
        sys.stdout.flush()
    except OSError:  # it may be this very output that failed
        _drop_output()
    print(f"noncollapse: {message}", file=sys.stderr)
    return code


def _drop_output() -> None:
    """Let nothing more be written to stdout, so that Python's own flush at its end does not fail again."""
    with suppress(OSError):  # a stdout that is no file needs none of this
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
