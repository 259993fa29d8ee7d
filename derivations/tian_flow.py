"""Claims of Tian et al. 2021 about the matrix flow: Lemma 1 and Theorem 1 (balance)."""

from __future__ import annotations

import numpy as np

from derivations.assumptions_tian import ALPHA_P, BETA, ETA, FREE, GENERAL_VARY, SOURCE, STOP_GRADIENT, relative
from derivations.byol_proofs import GRAD_P, GRAD_W, eta, matrix_balance
from derivations.claim import Claim, Picture
from derivations.common import EQUAL_DECAY, norm
from derivations.proof import Step
from dynamics.run import Array, Run
from dynamics.setting import GaussianViews, Network, Objective, Setting, Training
from dynamics.views import moments

LINEAR = Objective(predictor="linear", target="ema")
TWISTED = Setting(
    views=GaussianViews(signal=(1.2, 0.6), noise=(0.3, 0.5), angle=0.5, twist=0.4),
    network=Network(k=3),
    objective=LINEAR,
    training=Training(t_end=4.0, eta=0.1, alpha_p=2.0, beta=0.7),
)
EVERY_FLOW = {
    **GENERAL_VARY,
    "training.eta": ETA,
    "training.alpha_p": ALPHA_P,
    "training.beta": BETA,
    "network.tau0": (0.5, 0.0, 1.0),
    "objective.target": ("ema", "online"),
}

# Lemma 1 ------------------------------------------------------------------------------------------------------------


def lemma1(
    run: Run, cross: str = "transposed", decay: float = 1.0, ratio_on_decay: bool = False, following: float = 1.0
) -> Array:
    """(2), (3), (4) against the measured velocities, side by side, relative to their terms: (R, T, k, k + 2d), without V (4) of an online
    target k + d.

    The scale is a function of the state alone, so that a minibatch's noise in the velocities stays unbiased.
    """
    m, tr_ = moments(run.setting), run.setting.training
    W, P, V = run["W"], run["P"], run["V"]
    G = V @ (m.C.T if cross == "transposed" else m.C) - P @ W @ m.A
    theory_P = tr_.alpha_p * G @ W.mT - decay * tr_.eta * (tr_.alpha_p if ratio_on_decay else 1.0) * P
    theory_W = P.mT @ G - decay * tr_.eta * W
    size_P = tr_.alpha_p * norm(W) * (norm(V) + norm(P) * norm(W)) + norm(P)
    size_W = norm(P) * (norm(V) + norm(P) * norm(W)) + norm(W)
    parts = [relative(run["dP"] - theory_P, size_P), relative(run["dW"] - theory_W, size_W)]
    if run.setting.objective.target == "ema":
        parts.append(relative(run["dV"] - following * tr_.beta * (W - V), norm(W) + norm(V)))
    return np.concatenate(parts, axis=-1)


LEMMA1 = Claim(
    id="tian-lemma1",
    section="T2",
    title="The gradient flow of predictor, encoder and target",
    statement=r"\dot P=\alpha_p(-PWA+VC^\top)W^\top-\eta P,\quad \dot W=P^\top(-PWA+VC^\top)-\eta W,\quad "
    r"\dot V=\beta(W-V),\qquad A=X+X',\ C=X",
    source=f"{SOURCE}, Lemma 1, (2)-(4)",
    base=TWISTED,
    vary={**EVERY_FLOW, "views.twist": (0.4, 0.0, 0.8), "views.anchor": (False, True)},
    states=(STOP_GRADIENT, EQUAL_DECAY),
    rungs=("flow", "descent", "sgd"),
    residual=lemma1,
    mutants={
        "C not transposed": lambda run: lemma1(run, cross="plain"),
        "no weight decay": lambda run: lemma1(run, decay=0.0),
        "alpha_p multiplies the decay of P": lambda run: lemma1(run, ratio_on_decay=True),
        "the target follows at half its rate": lambda run: lemma1(run, following=0.5),
    },
    proof=(GRAD_W, GRAD_P),
    scope="all dimensions; any moments, C need not be symmetric",
    picture=lambda run: Picture("velocity of W", run["dW"].reshape(*run["dW"].shape[:2], -1)),
    explains="Holds as printed, with the X of the paper read as the transpose of E[x x⁺ᵀ]: for two views that are "
    "exchangeable given the image the two agree, for a directed pair only the transposed form is the gradient. "
    "The decay of P carries no alpha_p; a weight decay inside an optimiser with its own rate for P would.",
)

# Theorem 1 ----------------------------------------------------------------------------------------------------------


def balance(run: Run, ratio: bool = True, decays: float = 2.0, sign: float = -1.0) -> Array:
    """W Wᵀ - Pᵀ P / alpha_p - e^{-2 eta t} (its start), relative to the largest ‖W‖² + ‖P‖² / alpha_p so far."""
    tr_ = run.setting.training
    W, P = run["W"], run["P"]
    q = W @ W.mT + sign * P.mT @ P / (tr_.alpha_p if ratio else 1.0)
    law = np.exp(-decays * tr_.eta * run.t)[:, None, None] * q[:, :1]
    size = np.maximum.accumulate(norm(W) ** 2 + norm(P) ** 2 / tr_.alpha_p, axis=1)
    return relative(q - law, size)


def _balance_picture(run: Run, ratio: bool = True) -> Picture:
    tr_ = run.setting.training
    q = run["W"] @ run["W"].mT - run["P"].mT @ run["P"] / (tr_.alpha_p if ratio else 1.0)
    i, j = np.triu_indices(q.shape[-1])
    measured = q[..., i, j]
    return Picture(
        r"entries of $W W^\top - P^\top P/\alpha_p$" if ratio else r"entries of $W W^\top - P^\top P$",
        measured,
        np.exp(-2 * tr_.eta * run.t)[:, None] * measured[0, :1],
    )


THEOREM1 = Claim(
    id="tian-theorem1",
    section="T2",
    title="Encoder and predictor balance under weight decay",
    statement=r"WW^\top=\alpha_p^{-1}P^\top P+e^{-2\eta t}\,C_0,\qquad C_0=W_0W_0^\top-\alpha_p^{-1}P_0^\top P_0",
    source=f"{SOURCE}, Theorem 1, (5)",
    base=TWISTED,
    vary=EVERY_FLOW,
    states=(STOP_GRADIENT, EQUAL_DECAY, FREE),
    residual=balance,
    mutants={
        "alpha_p dropped": lambda run: balance(run, ratio=False),
        "e^{-eta t} for e^{-2 eta t}": lambda run: balance(run, decays=1.0),
        "sum for difference": lambda run: balance(run, sign=1.0),
    },
    proof=(
        Step(
            r"\frac{d}{dt}Q=-2\eta Q,\ Q=WW^\top-\alpha_p^{-1}P^\top P",
            lambda: matrix_balance(-1, eta),
            lambda: matrix_balance(1, eta),
        ),
    ),
    scope="all dimensions, any moments, any target V",
    picture=_balance_picture,
    explains="Holds for every residual, so for every data distribution and target. It needs one decay rate for W and "
    "P, plain gradient steps and the predictor's own gradient: finite steps break it at first order in the step size.",
)
THEOREM1_SM = Claim(
    id="tian-theorem1-sm",
    section="TA",
    title="Balance as the supplement prints it, without the ratio of rates",
    statement=r"WW^\top=P^\top P+e^{-2\eta t}\,C_0",
    source=f"{SOURCE}, supplement, restatement of Theorem 1",
    base=TWISTED,
    vary=EVERY_FLOW,
    states=THEOREM1.states,
    residual=lambda run: balance(run, ratio=False),
    mutants={"sum for difference": lambda run: balance(run, ratio=False, sign=1.0)},
    corrected_by="tian-theorem1",
    picture=lambda run: _balance_picture(run, ratio=False),
    explains="The supplement drops the factor 1/alpha_p of the main text. The line holds only where alpha_p = 1.",
)
CLAIMS: tuple[Claim, ...] = (LEMMA1, THEOREM1, THEOREM1_SM)
