"""The arrays of the deep picture: networks beside the linear prediction from their own start."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from dynamics import predictor
from dynamics.observe import mode_pairs, normalised_commutator
from dynamics.run import Array
from dynamics.setting import Setting
from dynamics.solver import integrate
from noncollapse.transfer import load_deep

Arrays = dict[str, Array]


class NothingToDraw(ValueError):
    """A picture whose runs do not exist yet; the message says what to run."""


def deep_modes(scale: float, results: Path) -> Arrays:
    """Every deep run with a learned predictor and stop-gradient beside the linear prediction from its own start.

    runs (n,) names; per run i: t<i> (T,), measured p<i>, s<i>, cosine<i> (R, T, k) and alignment<i> (R, T); predicted
    linear_p<i>, linear_s<i> (R, T, k), linear_alignment<i> (R, T); alpha_p<i>; a<i> (R,). Raises NothingToDraw, and
    RecordError where a run cannot be read.
    """
    out: Arrays = {}
    names = []
    for path in sorted((results / "deep").glob("*.json")):
        found = load_deep(results, path.stem)
        assert found is not None  # its .json is there
        setting, run = found.setting, {"t": found.t, **found.obs}
        o = setting.objective
        if o.loss != "predictor" or o.predictor not in ("linear", "symmetric") or not o.stop_gradient:
            continue
        i = len(names)
        names.append(path.stem)
        out |= {f"{name}{i}": run[name] for name in ("t", "p", "s", "cosine", "alignment")}
        out[f"alpha_p{i}"] = np.array(setting.training.alpha_p)
        out |= {f"{name}{i}": value for name, value in _linear_prediction(setting, run).items()}
    if not names:
        raise NothingToDraw(
            f"{results / 'deep'} has no run with a predictor: run `noncollapse verify` without --rung first"
        )
    return out | {"runs": np.array(names)}


def _linear_prediction(setting: Setting, run: Mapping[str, Array]) -> Arrays:
    """The isotropic linear flow with the network's own p, s and cosines at t = 0, in F's eigenbasis.

    W = diag(√s), C = I, A = a I with a = tr E[z zᵀ] / tr F at the start. P has the measured diagonal p_j, and off it
    Gaussian columns of the measured length |p_j| √(1/cos² - 1): their directions are not recorded, so are drawn.
    """
    tr, o = setting.training, setting.objective
    p, s, cosine = (run[name][:, 0] for name in ("p", "s", "cosine"))
    s = np.clip(s, 0.0, None)  # F is an average of n pairs: a mode without signal can come out at -1e-9
    R, k = p.shape
    a = ((run["variance"] + run["mean"])[:, 0] / s.sum(-1)).reshape(R, 1, 1)
    off = np.random.default_rng([setting.seed, 7]).standard_normal((R, k, k)) * (1 - np.eye(k))
    length = np.abs(p) * np.sqrt(np.clip(1 / np.square(np.where(cosine == 0, 1.0, cosine)) - 1, 0.0, None))
    P = off * (length / np.maximum(np.linalg.norm(off, axis=1), 1e-300))[:, None, :] + p[:, None, :] * np.eye(k)
    W, eye = np.sqrt(s)[:, None, :] * np.eye(k), np.eye(k)
    ema, eta_p = o.target == "ema", tr.eta if tr.eta_p is None else tr.eta_p

    def velocity(_: float, y: Array) -> Array:
        W, P, V = (part.reshape(R, k, k) for part in np.split(y, 3, axis=1))
        dW, dP = predictor.field(W, P, V if ema else W, a * eye, eye, tr.alpha_p, tr.eta, eta_p)
        dP = predictor.symmetric_part(dP) if o.predictor == "symmetric" else dP
        dV = predictor.target_field(W, V, tr.beta) if ema else dW
        return np.concatenate([d.reshape(R, -1) for d in (dW, dP, dV)], axis=1)

    y0 = np.concatenate([M.reshape(R, -1) for M in (W, P, W)], axis=1)
    # A prediction from a drawn start: 6 digits are plenty. Explicit only: an implicit method's Jacobian is (3 R k²)².
    y = integrate(velocity, y0, run["t"], rtol=1e-6, atol=1e-9, method="DOP853").y
    W, P, _ = (part.reshape(len(run["t"]), R, k, k) for part in np.split(y, 3, axis=2))
    F = W @ W.mT
    linear_p, linear_s, _ = mode_pairs(P, F)
    parts = {"linear_p": linear_p, "linear_s": linear_s, "linear_alignment": normalised_commutator(P, F)}
    return {name: np.swapaxes(value, 0, 1) for name, value in parts.items()} | {"a": a[:, 0, 0]}
