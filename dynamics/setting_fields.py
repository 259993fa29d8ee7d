"""What the fields of a Setting may hold: kinds of values, choices and ranges, each refusal one sentence with its remedy."""

from __future__ import annotations

import math
from functools import cache
from numbers import Integral, Real
from typing import Any, get_args, get_type_hints


class SettingError(ValueError):
    """A Setting whose values cannot mean anything; the message says which and what to write instead."""


ROW = tuple[float, ...]
# Of each type of field: how a refusal names it, and what is taken for it (numpy's scalars too).
MEANT: dict[Any, tuple[str, type]] = {
    float: ("a number", Real), int: ("a whole number", Integral), bool: ("true or false", bool), str: ("text", str),
}  # fmt: skip
CHOICES: dict[str, tuple[str, ...]] = {
    "network.start": ("generic", "symmetric", "balanced", "aligned", "parabola", "zero"),
    "network.kind": ("linear", "mlp", "resnet"),
    "objective.loss": ("invariance", "predictor", "info_nce", "nt_xent", "information"),
    "objective.predictor": ("linear", "symmetric", "none", "optimal"),
    "objective.target": ("online", "ema"),
    "objective.entropy": ("discrete", "differential"),
    "views.augment": ("shift", "noise", "mask", "pairs"),
}
AT_LEAST: dict[str, float] = {  # the smallest value a number may take; `POSITIVE` ones must exceed it
    "views.strength": 0, "views.d": 0, "views.count": 1, "views.n": 2, "views.spread": 0, "views.scatter": 0, "views.states": 1,
    "views.nuisances": 1, "network.k": 1, "network.w0": 0, "training.t_end": 0, "training.points": 1,
    "training.eta": 0, "training.eta_p": 0, "training.alpha_p": 0, "training.beta": 0, "training.lr": 0,
    "training.batch": 1, "objective.temperature": 0, "objective.negatives": 1,
}  # fmt: skip
POSITIVE = frozenset({"training.t_end", "training.alpha_p", "training.lr", "objective.temperature"})


@cache
def hints(cls: type) -> dict[str, Any]:
    """name -> type of the fields of one part of a Setting."""
    return get_type_hints(cls)


def check_known(name: str, key: str, cls: type) -> None:
    """Raise SettingError unless the part `name`, a `cls`, has a field `key`."""
    if key not in hints(cls):
        raise SettingError(f"unknown {name}.{key}: {name} has {', '.join(hints(cls))}")


def check_kind(path: str, hint: Any, value: Any) -> None:
    """Raise SettingError unless `value` is what a field with this type hint holds."""
    if type(value) is hint:
        return
    if hint == ROW:
        if not isinstance(value, tuple) or not all(is_number(v) for v in value):
            raise SettingError(f"{path} is {value!r}: give a list of numbers (in Python a tuple)")
        return
    if type(None) in get_args(hint):
        if value is None:
            return
        hint = float
    said, kind = MEANT[hint]
    if not (is_number(value, kind) if hint in (int, float) else isinstance(value, kind)):
        raise SettingError(f"{path} is {value!r}: give {said}")


def check_range(path: str, value: Any) -> None:
    """Raise SettingError unless `value` is one of the known choices, finite and in range."""
    if path in CHOICES and value not in CHOICES[path]:
        raise SettingError(f"{path} is {value!r}: choose one of {', '.join(CHOICES[path])}")
    check_finite(path, value)
    if path in AT_LEAST and isinstance(value, Real):
        low = AT_LEAST[path]
        if value < low or (path in POSITIVE and value == low):
            raise SettingError(f"{path} is {value!r}: give a number {'>' if path in POSITIVE else '>='} {low:g}")


def check_finite(path: str, value: Any) -> None:
    """Raise SettingError on a number, in a row too, that is not finite or larger than floats are."""
    for number in value if isinstance(value, tuple) else (value,):
        try:
            if is_number(number) and not math.isfinite(number):
                raise SettingError(f"{path} is {value!r}: give finite numbers")
        except OverflowError:
            raise SettingError(f"{path} is larger than any float: give a number below 1e308") from None


def is_number(value: Any, kind: type = Real) -> bool:
    """A bool is an Integral to Python, and no number here."""
    return isinstance(value, kind) and not isinstance(value, bool)
