"""Toy claims on unit vectors, and Runs given to the rungs, for tests of the ladder and its parts."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import sympy as sp

from derivations.assumption import Assumption, Interval
from derivations.claim import Claim
from derivations.contrastive import POINTS, unit_identity
from derivations.proof import Step
from dynamics.run import Array, Run
from dynamics.setting import Setting
from noncollapse import rungs
from noncollapse.budget import Budget
from noncollapse.rungs import read

TINY = Budget("quick", examples=40, confirm=1, replicas=8, deep_replicas=2)
R = 64  # replicas on the rung sgd
VARY = {"views.n": (2, 3, 4), "views.spread": Interval(0.0, 2.0), "seed": tuple(range(8))}
EQUAL = Assumption("equal-views", "the views are equal", {"views.spread": (0.0,)})
HOLDS = POINTS.replace(views__spread=0.0)
PROVED = Step("0 = 0", lambda: sp.Integer(0), lambda: sp.Integer(1))


def alignment(run: Run) -> Array:
    """f·f⁺ - 1: 0 only where the views are equal."""
    return (run["z"] * run["z_plus"]).sum(-1) - 1


def toy(residual=unit_identity, **changes) -> Claim:
    base = POINTS.replace(views__d=2)
    return dataclasses.replace(
        Claim("toy", "", "", "", "", base=base, vary=VARY, rungs=("exact",), residual=residual), **changes
    )


def given_run(monkeypatch: pytest.MonkeyPatch, x) -> None:
    """Every Run has obs x (R, 1) = x(setting, halvings), and the residual is x itself."""

    def make(setting: Setting, rung: str, replicas: int = 1, halvings: int = 0) -> Run:
        return Run(setting, rung, np.zeros(1), {"x": np.reshape(np.asarray(x(setting, halvings), float), (-1, 1))})

    monkeypatch.setattr(rungs, "make_run", make)


def measured(rung: str, replicas: int = 1, **changes) -> rungs.Reading:
    claim = toy(lambda run: run["x"], **changes)
    return read(claim, claim.base, rung, replicas)


def horizon(setting: Setting) -> float:
    return setting.training.t_end / POINTS.training.t_end
