"""Assumption: a named condition on Settings, as data, so that what tests it and what generates from it are one thing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from dynamics.setting import GaussianViews, Setting


@dataclass(frozen=True)
class Interval:
    """Numbers in [lo, hi]; the search draws them from `steps` + 1 equally spaced values, so that they print short."""

    lo: float
    hi: float
    steps: int = 20

    def __contains__(self, value: Any) -> bool:
        return value is not None and self.lo - 1e-12 <= value <= self.hi + 1e-12

    def meet(self, other: Interval) -> Interval | None:
        lo, hi = max(self.lo, other.lo), min(self.hi, other.hi)
        return Interval(lo, hi, max(self.steps, other.steps)) if lo <= hi else None


@dataclass(frozen=True)
class Spectrum:
    """Tuples of eigenvalues in [lo, hi], all alike if `equal`. Simplest, to the search, are small ones; where `falling`, large
    ones, on which a flow is fast and shows its limit soon."""

    lo: float
    hi: float
    equal: bool = False
    falling: bool = False

    def __contains__(self, value: Any) -> bool:
        inside = all(self.lo - 1e-12 <= x <= self.hi + 1e-12 for x in value)
        return inside and (not self.equal or len(set(value)) == 1)

    def meet(self, other: Spectrum) -> Spectrum | None:
        lo, hi = max(self.lo, other.lo), min(self.hi, other.hi)
        if lo > hi:
            return None
        return Spectrum(lo, hi, self.equal or other.equal, self.falling or other.falling)


Domain = tuple[Any, ...] | Interval | Spectrum


def meet(a: Domain, b: Domain) -> Domain | None:
    """The intersection of two domains of one path, None if empty. A tuple (a list of choices) filters by membership."""
    if isinstance(a, tuple):
        kept = tuple(x for x in a if x in b)
        return kept or None
    if isinstance(b, tuple):
        return meet(b, a)
    if isinstance(a, Interval) and isinstance(b, Interval):
        return a.meet(b)
    if isinstance(a, Spectrum) and isinstance(b, Spectrum):
        return a.meet(b)
    raise TypeError(f"cannot intersect {a} with {b}: use two Intervals, two Spectra, or a tuple of choices")


EIGENVALUES = ("views.signal", "views.noise")


def check_eigenvalues(owner: str, domains: Mapping[str, Domain]) -> None:
    """Raise ValueError where the choices at one path are eigenvalues of several dimensions: those of the signal and of
    the noise are drawn apart, and would not fit. Or where choices of eigenvalues are not tuples at all."""
    for path, domain in domains.items():
        choices = domain if isinstance(domain, tuple) else ()
        for choice in (domain,) if isinstance(domain, Interval) else choices:
            if path in EIGENVALUES and not isinstance(choice, tuple):
                raise ValueError(
                    f"{owner}: {choice!r} is no choice of {path}: give tuples, such as ((1.0, 0.5),), or a Spectrum"
                )
        lengths = sorted({len(choice) for choice in choices if isinstance(choice, tuple)})
        if len(lengths) > 1:
            several = " and ".join(map(str, lengths))
            raise ValueError(f"{owner}: choices of {path} have {several} eigenvalues: give all as many, or a Spectrum")


@dataclass(frozen=True)
class Assumption:
    """name and sentence; `only` restricts paths of a Setting ("d" is the number of eigenvalues of Gaussian views);
    `where` is for what no list of values can say. Raises ValueError where choices of eigenvalues cannot be drawn."""

    name: str
    says: str
    only: Mapping[str, Domain] = field(default_factory=dict)
    where: Callable[[Setting], bool] | None = None

    def __post_init__(self) -> None:
        check_eigenvalues(f"assumption {self.name!r}", self.only)

    def holds(self, setting: Setting) -> bool:
        return all(value_at(setting, path) in domain for path, domain in self.only.items()) and (
            self.where is None or self.where(setting)
        )


def value_at(setting: Setting, path: str) -> Any:
    """The Setting's value at a path; "d" is the input dimension of Gaussian views."""
    if path == "d":
        views = setting.views
        return len(views.signal) if isinstance(views, GaussianViews) else getattr(views, "d", 0)
    return setting.get(path)
