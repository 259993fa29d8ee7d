"""A fault of the code, a claim's own as a rule, in one sentence: what was raised, and where."""

from __future__ import annotations

import os
import sysconfig
import traceback
from pathlib import Path

from noncollapse.sources import ROOT

HOUSE = ("noncollapse.", "dynamics.", "derivations.", "full_models.", "figures.")
SPOKEN = (ValueError, RuntimeError, ArithmeticError)  # raised for their words; their kind says no more
CLAIMS = f"{ROOT / 'derivations'}{os.sep}"
# what a claim calls: the line that called it says more
CALLED = (*(f"{ROOT / room}{os.sep}" for room in ("noncollapse", "dynamics", "full_models")),
          *(f"{sysconfig.get_path(name)}{os.sep}" for name in ("stdlib", "purelib", "platlib")))  # fmt: skip


def words(error: BaseException) -> str:
    """The words of a refusal that the house means; of anything else its kind too, and file:line of the claim's innermost line,
    or where no claim is under way of the last."""
    text, kind = str(error), type(error)
    frames = traceback.extract_tb(error.__traceback__)
    own = [f for f in frames if f.filename.startswith(CLAIMS) or not f.filename.startswith(CALLED)]
    meant = kind.__module__.startswith(HOUSE) or isinstance(error, OSError) or (kind in SPOKEN and not own)
    if text and meant:
        return text
    if kind not in SPOKEN or not text:
        text = f"{kind.__name__}: {text}" if text else kind.__name__
    last = (own or frames)[-1:]
    return text + "".join(f" ({Path(f.filename).name}:{f.lineno})" for f in last)
