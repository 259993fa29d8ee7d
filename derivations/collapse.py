"""The note's sections 1.2 and 3.1: what collapse is, and why the invariance loss allows it."""

from __future__ import annotations

import numpy as np

from derivations.assumption import Assumption
from derivations.claim import Claim
from derivations.collapse_proofs import (
    ATTAINED,
    CENTRED,
    CHAIN,
    CONSTANT,
    DIFFERENCE,
    ENTROPY_POSITIVE,
    ENTROPY_ZERO,
    NONNEGATIVE,
    ONLY_CONSTANT,
)
from derivations.common import NOTE
from derivations.invariance_common import ANY_START, SHORT
from dynamics.observe import spectrum
from dynamics.run import Array, Run
from dynamics.setting import ChannelViews, Objective, PointViews, Setting

CHANNEL = Setting(views=ChannelViews(), objective=Objective(loss="information"))
CHANNELS = {
    "views.states": (2, 3, 4),
    "views.nuisances": (1, 2, 3),
    "views.injective": (True, False),
    "seed": tuple(range(8)),
}
DISCRETE = Assumption(
    "discrete-entropy",
    "H is the entropy of a discrete variable, not a differential entropy",
    {"objective.entropy": ("discrete",)},
)


def minimum(run: Run, least: float = 0.0) -> Array:
    """J >= least for every map, and J = least for a constant one (W = 0): both as violations of the bound 0."""
    above = run["loss"] - least
    return np.abs(above) if run.setting.network.start == "zero" else -above


def covariance(run: Run, factor: float = 1.0) -> Array:
    """Σ λ_i(Σ) - E‖z - E z‖², and by how much an eigenvalue leaves [0, E‖z - E z‖²]: so Σ vanishes just where z = E z."""
    z, values = run["z"], spectrum(run["covariance"])
    spread = factor * ((z - z.mean(-2, keepdims=True)) ** 2).sum(-1).mean(-1)
    outside = np.maximum(np.maximum(values[..., 0] - spread, -values[..., -1]), 0.0)
    return np.stack([values.sum(-1) - spread, outside], -1)


def discrete_entropy(run: Run) -> Array:
    """H of the constant, and by how much H(Z) of any encoder falls below 0."""
    return np.concatenate([run["H_constant"], np.minimum(run["H_Z"], 0.0)], -1)


CLAIMS = (
    Claim(
        "naive-global-minimum",
        "1.2",
        "A constant map is a global minimiser of the invariance loss",
        r"\mathcal L_{naive}(c) = 0 = \min",
        NOTE + "1.2",
        base=SHORT,
        vary={**ANY_START, "network.start": ("zero", "generic")},
        rungs=("exact", "flow", "descent", "sgd"),
        residual=minimum,
        bound=True,
        mutants={
            "the loss is negated": lambda run: -minimum(run),
            "a constant map is not yet the least": lambda run: minimum(run, -0.5),
        },
        proof=(NONNEGATIVE, ATTAINED),
        scope="all dimensions, any map f (linear or not), any finite law of views",
    ),
    Claim(
        "noise-information",
        "1.2",
        "A representation of the state alone cannot tell more of the view than of the state",
        r"I(Z;X) \le I(Z;S) \quad (Z = h(S))",
        NOTE + "1.2",
        base=CHANNEL,
        vary=CHANNELS,
        rungs=("exact",),
        residual=lambda run: run["I_ZX"] - run["I_ZS"],
        bound=True,
        mutants={"the inequality reversed with the entropy of Z": lambda run: run["H_Z"] - run["I_ZX"] / 2},
        proof=(CHAIN, ENTROPY_POSITIVE, ENTROPY_ZERO, DIFFERENCE),
        scope="any finite alphabets and joint law of S and X, any h",
        explains="As Z = h(S), I(Z;S) is H(Z), which bounds what Z tells of anything. That a representation must lose information "
        "to discard noise is more than this row's formula: what lies beyond the state, H(X|S), is lost of the view at least, "
        "as I(Z;X) <= I(S;X), and where it is 0 nothing need be.",
    ),
    Claim(
        "other-difficulties",
        "1.2",
        "Semantic ambiguity, abstraction hierarchy and the evaluation gap are difficulties",
        "",
        NOTE + "1.2",
        rungs=(),
        untestable="names research difficulties; it states no relation between quantities that a Run could contradict",
    ),
    Claim(
        "collapse-covariance",
        "3.1",
        "Collapse is the same as a zero covariance matrix",
        r"\Sigma = 0 \Leftrightarrow Z = c\ a.s.",
        NOTE + "3.1",
        base=Setting(views=PointViews(n=3, scatter=0.5), objective=Objective(loss="nt_xent")),
        vary={"views.n": (2, 3, 8), "views.d": (2, 3, 5), "views.scatter": (0.0, 0.5, 2.0), "seed": tuple(range(8))},
        rungs=("exact",),
        residual=covariance,
        mutants={"twice the spread": lambda run: covariance(run, 2.0)},
        proof=(CENTRED, CONSTANT, ONLY_CONSTANT),
        scope="all dimensions, any finite law",
    ),
    Claim(
        "collapse-entropy",
        "3.1",
        "At collapse the entropy of the representation is zero",
        r"H(Z) = 0",
        NOTE + "3.1",
        base=CHANNEL,
        vary={"objective.entropy": ("discrete", "differential")},
        rungs=("exact",),
        needs=(DISCRETE,),
        residual=lambda run: run["H_constant"],
        mutants={"one nat": lambda run: run["H_constant"] - 1.0},
        proof=(ENTROPY_ZERO,),
        scope="any finite law",
        corrected_by="collapse-discrete-entropy",
        explains="A continuous embedding that shrinks to a point has differential entropy -infinity (log of its width); "
        "only the discrete entropy of the constant is 0.",
    ),
    Claim(
        "collapse-discrete-entropy",
        "3.1",
        "The discrete entropy of a representation is zero at collapse, and only there",
        r"H(Z) \ge 0,\quad H(Z) = 0 \Leftrightarrow Z = c\ a.s.",
        "corrects collapse-entropy",
        base=CHANNEL,
        vary=CHANNELS,
        states=(DISCRETE,),
        rungs=("exact",),
        residual=discrete_entropy,
        mutants={"one nat": lambda run: discrete_entropy(run) - 1.0},
        proof=(ENTROPY_POSITIVE, ENTROPY_ZERO),
        scope="any finite law",
        explains="A differential entropy has no least value: it falls without end as a continuous Z shrinks to a point.",
    ),
    Claim(
        "collapse-loss-zero",
        "3.1",
        "At collapse the alignment loss is 0, its global minimum",
        r"L = 0",
        NOTE + "3.1",
        base=SHORT.replace(network__start="zero"),
        vary={**ANY_START, "network.start": ("zero",)},
        rungs=("exact", "flow", "descent"),
        residual=lambda run: run["loss"],
        mutants={"the loss of a unit gap": lambda run: run["loss"] - 0.5},
        proof=(NONNEGATIVE, ATTAINED),
        scope="all dimensions, any map f (linear or not), any finite law of views",
    ),
)
