"""Claim: one statement of a source, checkable.

`residual(*runs)` returns signed residuals (R, ...), one leading axis of replicas: an equality claim holds where they
are 0, a bound (`bound=True`) where they are <= 0. It is normalised by the size of what is compared, and must not be
NaN: the engine raises on non-finite values. Everything else is data.

How each kind of claim is expressed, with one that exists (none needs a special case in the engine):

  identity on random embeddings     PointViews; a Run with T = 1 and obs z, z_plus            unit-vector-identity
  exact enumeration of a channel    ChannelViews; a Run with T = 1, obs named by the rung     noise-information
  limit or rate over a sequence     `along=(path, values)`: the engine runs the Setting at    alignment-uniformity-limit
                                    each value and calls residual(run_1, ..., run_n)
  InfoNCE with N samples, queue     Objective(loss, temperature, negatives); obs loss         alignment-uniformity-limit
  Hessian, value at a point         T = 1, obs loss, gradient, hessian at that point          simclr-collapse-gradient
  flow, conservation law            obs W, P, V and velocities dW, dP, dV over t              byol-flow-W
  limit t -> infinity               `slack(setting)`: the law by which the rest decays        invariance-singular-values
  two-layer, depth L, heads         more named arrays in obs (W1, W2, ...; P with a heads axis) and a value in Network
  non-symmetric C, sequences        GaussianViews.twist; a new kind of Views with its moments
  statistical experiment            R replicas in a Run; the sgd law tests the mean at 4 standard errors, with n
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from derivations.assumption import Assumption, Domain, check_eigenvalues
from derivations.proof import Step
from dynamics.run import Array, Run
from dynamics.setting import Setting

RUNGS = ("exact", "flow", "descent", "sgd")  # what makes a Run; `proof` and `deep` are asked beside them
Residual = Callable[..., Array]  # (*runs: Run) -> (R, ...)


@dataclass(frozen=True)
class Picture:
    """What a claim's figure shows of one Run: measured (R, T, m) curves over x (T,), and what the claim says they are,
    claimed (T, m), or None where it speaks only of their limit."""

    ylabel: str
    measured: Array
    claimed: Array | None = None
    xlabel: str = "flow time t"
    log: bool = False


@dataclass(frozen=True)
class Transfer:
    """What a deep network is asked beside the linear prediction; never part of a verdict.

    deep: names of deep Settings (see `full_models.deep_settings`). gauge(runs by name) gives one number a seed (R,) that
    the linear theory predicts to be positive; "follows" means that its mean exceeds 0 by 4 standard errors, "departs"
    that it lies below 0 by as much, "undecided" otherwise.
    """

    deep: tuple[str, ...]
    says: str
    gauge: Callable[[Mapping[str, Run]], Array]


@dataclass(frozen=True)
class Claim:
    """See the module. states: what the source assumes; needs: what we add. vary: the domains the search draws from,
    by path, around `base`. rungs: cheapest first; the search runs on the first. mutants: residuals of wrong theories,
    each of which must fail where the claim holds. corrected_by: the id of the claim that stands in its place.
    proof: of the statement under states and needs together; so a claim with needs is never *verified* as stated.
    holds_at: for a claim that fails throughout its domain, a Setting outside it where the residual passes: its check
    must be able to. slack also marks a limit t -> infinity, which only a residual that time does not shrink refutes.
    Raises ValueError on a rung that is none, and where choices of eigenvalues cannot be drawn."""

    id: str
    section: str
    title: str
    statement: str
    source: str
    base: Setting = field(default_factory=Setting)
    vary: Mapping[str, Domain] = field(default_factory=dict)
    states: tuple[Assumption, ...] = ()
    needs: tuple[Assumption, ...] = ()
    rungs: tuple[str, ...] = ("flow", "descent")
    residual: Residual | None = None
    bound: bool = False
    slack: Callable[[Setting], float] | None = None
    mutants: Mapping[str, Residual] = field(default_factory=dict)
    along: tuple[str, tuple[Any, ...]] | None = None
    proof: tuple[Step, ...] = ()
    scope: str = ""
    corrected_by: str | None = None
    holds_at: Setting | None = None
    picture: Callable[..., Picture] | None = None
    transfer: Transfer | None = None
    untestable: str = ""
    explains: str = ""

    def __post_init__(self) -> None:
        for rung in self.rungs:
            if rung not in RUNGS:
                raise ValueError(f"{self.id} speaks of a rung {rung!r}, which is none: name some of {', '.join(RUNGS)}")
        check_eigenvalues(self.id, self.vary)
