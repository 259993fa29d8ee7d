"""The command line. Exit codes: 0 done; 1 a verdict differs from the ledger, or proof and numbers disagree; 2 bad input;
130 interrupted (what was computed stays, and the same command resumes).

Only the module of the verb that was asked for is loaded: `--help` imports neither numpy, sympy nor torch.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from dynamics.setting import SettingError
from noncollapse.errors import RecordError, UsageError

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
CODES = "exit codes: 0 done; 1 a verdict differs from the ledger or is an error; 2 bad input; 130 interrupted"


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> Any:
        print(f"noncollapse: {message}; see `{self.prog} --help`", file=sys.stderr)
        raise SystemExit(2)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code and never shows a traceback for bad input."""
    words = list(sys.argv[1:] if argv is None else argv)
    args = parser(words).parse_args(words)
    try:
        if args.results.exists() and not args.results.is_dir():
            raise UsageError(f"--results {args.results} is a file: name a folder")
        if getattr(args, "jobs", 1) < 1:
            raise UsageError(f"-j {args.jobs}: give at least 1 process")
        return args.run(args)
    except BrokenPipeError:
        return 0  # the reader of a pipe has seen enough
    except (UsageError, SettingError, RecordError, OSError) as error:
        return _fail(str(error), args.json)
    except KeyboardInterrupt:
        return _fail("interrupted: what was computed is kept, the same command goes on from there", args.json, 130)


def parser(words: Sequence[str]) -> argparse.ArgumentParser:
    """All verbs by name; arguments only of the one that `words` asks for."""
    out = _Parser("noncollapse", description="Check claims on latent prediction and collapse, from proof to deep network.",
                  epilog=CODES)  # fmt: skip
    verbs = out.add_subparsers(dest="verb", required=True, parser_class=_Parser, metavar="VERB")
    asked = next((word for word in words if not word.startswith("-")), None)
    for name, (module, help_, examples) in VERBS.items():
        lines = "\n".join(f"  noncollapse {example}" for example in examples)
        sub = verbs.add_parser(name, help=help_, description=help_, epilog=f"examples:\n{lines}\n\n{CODES}",
                               formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
        sub.add_argument(
            "--results", type=Path, default=Path("results"), metavar="DIR", help="records (default: results)"
        )
        sub.add_argument("--json", action="store_true", help="machine-readable output")
        if name == asked:
            verb = import_module(f"noncollapse.verbs.{module}")
            verb.add_arguments(sub)
            sub.set_defaults(run=verb.run)
    return out


def _fail(message: str, as_json: bool, code: int = 2) -> int:
    if as_json:
        print(json.dumps({"error": message}))
    print(f"noncollapse: {message}", file=sys.stderr)
    return code
