"""The search for counterexamples: hypothesis draws Settings from a claim's domains and shrinks what fails."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from random import Random
from typing import Any

import hypothesis
from hypothesis import strategies as st
from hypothesis.errors import NoSuchExample, Unsatisfiable

from derivations.assumption import Assumption, Domain, Interval, Spectrum, meet, value_at
from derivations.claim import Claim
from dynamics.setting import Setting, SettingError


class EmptyAssumptions(ValueError):
    """No Setting satisfies the assumptions, so nothing follows from them."""


@dataclass(frozen=True)
class Found:
    """counterexample: the shrunk Setting, None if all `tried` distinct Settings passed."""

    counterexample: Setting | None
    tried: int


def domains(claim: Claim, assumptions: Sequence[Assumption]) -> dict[str, Domain]:
    """The claim's domains, cut down by every assumption. Raises EmptyAssumptions if one path has nothing left."""
    out: dict[str, Domain] = dict(claim.vary)
    for assumption in assumptions:
        for path, domain in assumption.only.items():
            cut = meet(out[path], domain) if path in out else domain
            if cut is None:
                raise EmptyAssumptions(f"{claim.id}: nothing at {path} satisfies {assumption.name!r}")
            out[path] = cut
    return out


def settings(claim: Claim, assumptions: Sequence[Assumption]) -> st.SearchStrategy[Setting]:
    """Settings of the claim that satisfy the assumptions, simplest first: what `find` shrinks towards. Drawing raises
    ValueError where the values of several paths make no Setting."""
    table = domains(claim, assumptions)
    # made once: hypothesis looks at a strategy for as long as it draws from it
    plain = {path: _strategy(domain) for path, domain in table.items() if not isinstance(domain, Spectrum)}
    spectra = {
        path: cache(partial(_spectrum, domain)) for path, domain in table.items() if isinstance(domain, Spectrum)
    }

    @st.composite
    def build(draw: Callable[[st.SearchStrategy[Any]], Any]) -> Setting:
        d = draw(plain["d"]) if "d" in plain else len(getattr(claim.base.views, "signal", "  "))
        changes: dict[str, Any] = {}
        for path in sorted(table):
            if path != "d":
                changes[path.replace(".", "__")] = draw(plain[path] if path in plain else spectra[path](d))
        for path in ("views.signal", "views.noise"):  # what is not drawn must still have d eigenvalues
            key = path.replace(".", "__")
            if hasattr(claim.base.views, "signal") and key not in changes:
                changes[key] = (claim.base.get(path) * d)[:d]
        try:
            return claim.base.replace(**changes)
        except SettingError as error:
            named = [repr(a.name) for a in assumptions if any(path in str(error) for path in a.only)]
            owners = " and ".join(["its domains", *named])
            raise ValueError(f"{claim.id}: {owners} make no Setting: {error}") from None

    return build().filter(lambda s: all(a.where is None or a.where(s) for a in assumptions))


def allowed(claim: Claim, assumptions: Sequence[Assumption], setting: Setting) -> bool:
    """True if the Setting lies in the claim's domains and satisfies the assumptions."""
    inside = all(value_at(setting, path) in domain for path, domain in domains(claim, assumptions).items())
    return inside and all(a.holds(setting) for a in assumptions)


def find(
    claim: Claim, assumptions: Sequence[Assumption], fails: Callable[[Setting], bool], examples: int, seed: int | str
) -> Found:
    """The smallest Setting found that satisfies the assumptions and fails; deterministic in `seed`. Raises what `fails` raises, also
    where hypothesis, of two findings, keeps the counterexample only."""
    tried: set[Setting] = set()
    faults: list[Exception] = []

    def condition(setting: Setting) -> bool:
        tried.add(setting)
        try:
            return fails(setting)
        except Exception as error:
            faults.append(error)
            raise

    options = hypothesis.settings(
        max_examples=examples, database=None, deadline=None, suppress_health_check=[*hypothesis.HealthCheck],  # pyright: ignore[reportArgumentType]
        phases=(hypothesis.Phase.generate, hypothesis.Phase.shrink),
    )  # fmt: skip
    try:
        example = hypothesis.find(settings(claim, assumptions), condition, settings=options, random=Random(seed))
    except (NoSuchExample, Unsatisfiable):
        if not tried:
            names = ", ".join(a.name for a in assumptions)
            raise EmptyAssumptions(f"{claim.id}: no Setting satisfies {names}: widen a domain") from None
        return Found(None, len(tried))
    if faults:
        raise faults[0]
    return Found(example, len(tried))


def sample(claim: Claim, assumptions: Sequence[Assumption], count: int, seed: int) -> list[Setting]:
    """`count` distinct Settings under the assumptions (fewer if there are fewer), deterministic in `seed`."""
    seen: dict[Setting, None] = {}

    def collect(setting: Setting) -> bool:
        seen[setting] = None
        return False

    find(claim, assumptions, collect, examples=6 * count, seed=seed)
    spread = list(seen)
    Random(seed).shuffle(spread)
    return spread[:count]


def _strategy(domain: Domain) -> st.SearchStrategy[Any]:
    if isinstance(domain, Interval):
        step = (domain.hi - domain.lo) / domain.steps
        return st.integers(0, domain.steps).map(lambda i: round(domain.lo + step * i, 6))
    if isinstance(domain, Spectrum):
        raise TypeError("a Spectrum is drawn by dimension")
    return st.sampled_from(domain)


def _spectrum(domain: Spectrum, d: int) -> st.SearchStrategy[tuple[float, ...]]:
    ends = (domain.hi, domain.lo) if domain.falling else (domain.lo, domain.hi)
    one = _strategy(Interval(*ends, steps=4))  # drawn from its first end on, whichever is the larger
    if domain.equal:
        return one.map(lambda x: (x,) * d)
    return st.lists(one, min_size=d, max_size=d).map(tuple)
