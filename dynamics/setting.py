"""Setting: one experiment as a few plain values.

A Setting says where the two views come from, which network, which objective and how it is trained. Matrices are
functions of it (`dynamics.views`, `dynamics.start`), so that it prints on one line, hashes, shrinks under hypothesis,
round-trips through JSON, and serves at once as command-line argument, cache key, counterexample and caption.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from numbers import Integral
from typing import Any, TypeVar

from dynamics.setting_fields import SettingError, check_finite, check_kind, check_known, check_range, hints, is_number
from dynamics.view_kinds import VIEWS, ChannelViews, GaussianViews, ImageViews, PointViews, Views

__all__ = ["ChannelViews", "GaussianViews", "ImageViews", "Network", "Objective", "PointViews", "Setting", "SettingError",
           "Training", "Views"]  # fmt: skip

T = TypeVar("T")


@dataclass(frozen=True)
class Network:
    """Encoder with k outputs and how the weights start.

    start: "generic" (Gaussian W, Gaussian P), "symmetric" (P symmetric), "balanced" (W Wᵀ = PᵀP / alpha_p),
    "aligned" (P, F and the moments share eigenvectors), "parabola" (aligned and balanced), "zero" (W = 0).
    w0, p0: scales of W and P.  tau0: the target starts as tau0 * W (1: a copy, as BYOL does; 0: at zero).
    kind: "linear", or for the deep rung "mlp" / "resnet".
    """

    k: int = 2
    start: str = "generic"
    w0: float = 0.7
    p0: float = 0.7
    tau0: float = 1.0
    kind: str = "linear"


@dataclass(frozen=True)
class Objective:
    """What is minimised.

    loss: "invariance" E‖Wx - Wx⁺‖², "predictor" E‖P W x - V x⁺‖², "info_nce" and "nt_xent" (with `temperature`;
    `negatives` = K), "information" (mutual information and entropies of a discrete channel; nothing is trained).
    predictor: "linear", "symmetric" (the flow of P is symmetrised), "none" (P = I), "optimal" (P at its optimum).
    target: "online" (V = W) or "ema" (dV/dt = beta (W - V)).  symmetrised: both directions, x→x⁺ and x⁺→x.
    entropy: which entropy a statement on H(Z) means: "discrete" or "differential".
    """

    loss: str = "predictor"
    predictor: str = "linear"
    stop_gradient: bool = True
    target: str = "online"
    symmetrised: bool = False
    temperature: float = 0.5
    negatives: int = 8
    entropy: str = "discrete"


@dataclass(frozen=True)
class Training:
    """How it is trained. Rates are per unit of flow time (see `dynamics.convention`).

    t_end, points: the Run has `points` times from 0 to t_end.  eta: weight decay of W; eta_p: of P (None: the same).
    alpha_p: learning-rate ratio of P to W.  beta: rate of the EMA target.  lr: step in flow time of descent and SGD.
    batch: pairs a minibatch.
    """

    t_end: float = 8.0
    points: int = 9
    eta: float = 0.0
    eta_p: float | None = None
    alpha_p: float = 1.0
    beta: float = 1.0
    lr: float = 0.02
    batch: int = 64


@dataclass(frozen=True)
class Setting:
    """One experiment. `seed` feeds every random draw (starts, samples, noise)."""

    views: Views = field(default_factory=GaussianViews)
    network: Network = field(default_factory=Network)
    objective: Objective = field(default_factory=Objective)
    training: Training = field(default_factory=Training)
    seed: int = 0

    def __post_init__(self) -> None:
        for name, kinds in PARTS.items():
            part = getattr(self, name)
            if not isinstance(part, kinds):
                raise SettingError(f"{name} is {part!r}: give {' or '.join(kind.__name__ for kind in kinds)}")
            for key, hint in hints(type(part)).items():
                check_kind(f"{name}.{key}", hint, getattr(part, key))
                check_range(f"{name}.{key}", getattr(part, key))
        if not is_number(self.seed, Integral) or self.seed < 0:
            raise SettingError(f"seed is {self.seed!r}: give a whole number >= 0")
        if isinstance(self.views, PointViews) and self.views.d < 1:
            raise SettingError(f"views.d is {self.views.d}: unit vectors need d >= 1")
        if isinstance(self.views, GaussianViews):
            signal, noise = self.views.signal, self.views.noise
            if len(signal) != len(noise) or not signal:
                raise SettingError(
                    f"views.signal has {len(signal)} eigenvalues and views.noise {len(noise)}: give as many of each, at least one"
                )
            if min(signal + noise) < 0:
                raise SettingError("views.signal and views.noise are variances: give numbers >= 0")

    def get(self, path: str) -> Any:
        """The value at a dotted path such as "training.eta"; AttributeError if this kind of views lacks it."""
        value: Any = self
        for name in path.split("."):
            value = getattr(value, name)
        return value

    def replace(self, **changes: Any) -> Setting:
        """A copy with values changed by dotted path, dots written as two underscores: `training__eta=0.1`. Raises SettingError."""
        parts: dict[str, dict[str, Any]] = {}
        top: dict[str, Any] = {}
        for key, value in changes.items():
            head, _, tail = key.partition("__")
            if head not in (*PARTS, "seed"):
                raise SettingError(f"unknown key {head!r}: a Setting has {', '.join(PARTS)}, seed")
            if tail:
                parts.setdefault(head, {})[tail] = value
            else:
                top[head] = value
        for head, values in parts.items():
            part = top.get(head, getattr(self, head))
            for key in values:
                check_known(head, key, type(part))
            top[head] = dataclasses.replace(part, **values)
        return dataclasses.replace(self, **top)

    def to_dict(self) -> dict[str, Any]:
        kind = next(name for name, cls in VIEWS.items() if isinstance(self.views, cls))
        return {**dataclasses.asdict(self), "views": {"kind": kind, **dataclasses.asdict(self.views)}}

    def to_json(self) -> str:
        """One line of JSON; `from_json` gives back an equal Setting."""
        return json.dumps(self.to_dict(), default=lambda number: number.item())  # numpy's

    @staticmethod
    def from_json(text: str) -> Setting:
        """A Setting from (possibly partial) JSON; what is not given keeps its default. Raises SettingError."""
        try:
            data = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise SettingError(f'not JSON ({error}): write e.g. \'{{"training": {{"eta": 0.1}}}}\'') from None
        return Setting.from_dict(data)

    @staticmethod
    def from_dict(data: Any) -> Setting:
        if not isinstance(data, Mapping):
            raise SettingError(f'a Setting is a JSON object, not {type(data).__name__}: write e.g. {{"seed": 1}}')
        data = dict(data)
        views = data.pop("views", {})
        kind = views.get("kind", "gaussian") if isinstance(views, Mapping) else None
        if not isinstance(kind, str) or kind not in VIEWS:
            raise SettingError(f"views.kind {kind!r} is not one of {', '.join(VIEWS)}")
        parts: dict[str, Any] = {"views": _part(VIEWS[kind], "views", {k: v for k, v in views.items() if k != "kind"})}
        for name, cls in (("network", Network), ("objective", Objective), ("training", Training)):
            parts[name] = _part(cls, name, data.pop(name, {}))
        seed = data.pop("seed", 0)
        if data:
            raise SettingError(f"unknown key {next(iter(data))!r}: a Setting has {', '.join(PARTS)}, seed")
        return Setting(seed=seed, **parts)


PARTS: dict[str, tuple[type, ...]] = {
    "views": tuple(VIEWS.values()), "network": (Network,), "objective": (Objective,), "training": (Training,),
}  # fmt: skip


def _part(cls: type[T], name: str, values: Any) -> T:
    """One part of a Setting from plain JSON values."""
    if not isinstance(values, Mapping):
        raise SettingError(f"{name} is a JSON object, not {values!r}")
    for key in values:
        check_known(name, key, cls)
    return cls(**{key: _converted(f"{name}.{key}", hints(cls)[key], value) for key, value in values.items()})


def _converted(path: str, hint: Any, value: Any) -> Any:
    """A JSON value as its field holds it: lists as tuples, whole numbers as floats where floats are meant."""
    value = tuple(value) if isinstance(value, list) else value
    check_kind(path, hint, value)
    check_finite(path, value)
    if isinstance(value, tuple):
        return tuple(float(v) for v in value)
    return value if value is None or hint in (int, bool, str) else float(value)
