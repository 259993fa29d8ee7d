"""The arrays of the report's special pictures, computed here so that figures never compute.

    results/pictures/<name>.npz   arrays, named as the figure reads them
    results/pictures/<name>.json  name, scale, provenance (hash of the sources, versions, seconds)

Theory is integrated (`dynamics`), measurements are full models (`full_models`); the deep picture reads results/deep.
Isotropic model unless said: c = 1, a = 1 + sigma², tau = V/W. Source: Tian et al. 2021, Figures 3 to 5, redrawn.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from dynamics import modes
from dynamics.basin import separatrix
from dynamics.observe import mode_pairs, singular_values
from dynamics.run import Array
from dynamics.setting import GaussianViews, Network, Objective, Setting, Training
from dynamics.simulate import exact
from dynamics.solver import integrate
from noncollapse import diagram, records
from noncollapse.deep_picture import deep_modes
from noncollapse.sources import ROOT, hash_of

Arrays = dict[str, Array]

PICTURE_RTOL = 1e-8  # two orders below what a line of one pixel shows, over every horizon used here
SIGMA2 = 0.25  # noise of the views in the phase portrait and the weight-decay picture: a = 1.25, eta_c = 0.2


def portrait(scale: float, results: Path) -> Arrays:
    """Phase portrait in (p, s), V = W, alpha_p = 1, for three weight decays eta (3,): 0, bistable, beyond eta_c.

    dp, ds (3, n, m) on the grid p (m,), s (n,); nullcline_p<i> and nullcline_s<i> (n, 2), paths of (p, s);
    fixed<i> (f, 3): p, s, 1 where stable; separatrix<i> (n, 2), NaN between branches, (0, 2) where there is none.
    """
    a, alpha_p = 1 + SIGMA2, 1.0
    eta_c = 1 / (4 * a)
    n = round(41 * scale**0.5)
    p, s = np.linspace(-0.6, 1.2, n), np.linspace(0.0, 1.2, n)
    out: Arrays = {"a": np.array(a), "alpha_p": np.array(alpha_p), "p": p, "s": s}
    out["eta"] = np.array([0.0, 0.5 * eta_c, 1.5 * eta_c])
    out["parabola"] = np.stack([np.linspace(p[0], p[-1], 201), np.linspace(p[0], p[-1], 201) ** 2 / alpha_p], axis=1)
    fields = [_plane_field(p[None, :], s[:, None], a, alpha_p, eta) for eta in out["eta"]]
    out["dp"], out["ds"] = (np.stack(part) for part in zip(*fields, strict=True))
    for i, eta in enumerate(out["eta"]):
        out[f"nullcline_p{i}"], out[f"nullcline_s{i}"] = _nullclines(p, s, a, alpha_p, eta)
        out[f"fixed{i}"] = _fixed(a, alpha_p, eta)
        out[f"separatrix{i}"] = separatrix(a, alpha_p, eta, float(p[0]), 1.5)
    return out


def _plane_field(p: Array, s: Array, a: float, alpha_p: float, eta: float) -> tuple[Array, Array]:
    """(p', s') with s = w²: s' = 2 w w'."""
    p, w = np.broadcast_arrays(p, np.sqrt(s))
    dp, dw, _ = modes.field(p, w, w, a, 1.0, alpha_p, 0.0, eta, eta)
    return np.asarray(dp), np.asarray(2 * w * dw)


def _nullclines(p: Array, s: Array, a: float, alpha_p: float, eta: float) -> tuple[Array, Array]:
    """p' = 0: s = eta p / (alpha_p (1 - a p)), or p = 1/a and s = 0 at eta = 0. s' = 0: p = p∓, and s = 0."""
    gap = np.full((1, 2), np.nan)
    vertical = lambda x: np.column_stack([np.full(2, x), s[[0, -1]]])  # noqa: E731
    axis = np.column_stack([p[[0, -1]], np.zeros(2)])
    if eta == 0:
        of_p = np.concatenate([vertical(1 / a), gap, axis])
    else:
        fine = np.linspace(0.0, 1 / a, 400, endpoint=False)
        of_p = np.column_stack([fine, eta * fine / (alpha_p * (1 - a * fine))])
    roots = modes.fixed_points(a, 1.0, eta)
    lines = [vertical(x) for x in (roots.p_minus, roots.p_plus) if np.isfinite(x)]
    of_s = np.concatenate([part for line in lines for part in (line, gap)] + [axis])
    return of_p, of_s


def _fixed(a: float, alpha_p: float, eta: float) -> Array:
    """(f, 3) p, s, stable, by the eigenvalues of the Jacobian; at eta = 0 the origin is only half-stable: 0."""
    roots = modes.fixed_points(a, 1.0, eta)
    rows = []
    for p in {0.0, float(roots.p_minus), float(roots.p_plus)}:
        if np.isfinite(p):
            values = np.real(np.linalg.eigvals(modes.jacobian(p, abs(p) / np.sqrt(alpha_p), a, 1.0, alpha_p, eta)))
            stable = bool(values.max() < -1e-12) or (eta == 0 and p > 0)  # there p+ attracts along its line of rest
            rows.append((p, p * p / alpha_p, float(stable)))
    return np.array(sorted(rows))


def decay(scale: float, results: Path) -> Arrays:
    """p∓ and s∓ against eta (lines; NaN beyond eta_c), and where gradient descent ended.

    eta (n,), p_minus, p_plus; measured_eta (m,), and of each run and mode start_p, end_p, end_s (m, k): eigenvalues
    of a linear network's P and F, from a large and a small start on the parabola.
    """
    from full_models.linear import descend  # torch loads only where a picture needs it

    a = 1 + SIGMA2
    eta = np.linspace(0.0, 1.6 / (4 * a), 401)
    roots = modes.fixed_points(a, 1.0, eta)
    rows = []
    for measured in np.linspace(0.0, 1.5 / (4 * a), round(12 * scale**0.5)):
        for w0 in (0.9, 0.12):
            setting = Setting(
                GaussianViews((1.0, 1.0), (SIGMA2, SIGMA2)), Network(k=2, start="parabola", w0=w0), Objective(),
                Training(t_end=100.0, points=2, eta=float(measured), lr=0.25),
            )  # fmt: skip
            run = descend(setting)
            p, s, _ = mode_pairs(run["P"][0], run["W"][0] @ run["W"][0].mT)
            rows.append((measured, p[0], p[1], s[1]))
    measured_eta, start_p, end_p, end_s = (np.array(column) for column in zip(*rows, strict=True))
    return {
        "a": np.array(a), "eta_c": np.array(1 / (4 * a)), "eta": eta, "p_minus": np.asarray(roots.p_minus),
        "p_plus": np.asarray(roots.p_plus), "measured_eta": measured_eta,
        "start_p": start_p, "end_p": end_p, "end_s": end_s,
    }  # fmt: skip


def rates(scale: float, results: Path) -> Arrays:
    """p, s, tau and K of one mode over time with an EMA target that starts at zero, sigma² = 0.1, p(0) = s(0) = 0.1.

    t (T,); by_eta (5, T, 4) at beta = 0.4 for etas (5,); by_beta (4, T, 4) at eta = 0.04 for betas (4,). Last axis: p,
    s, tau, K. K is the smallest eigenvalue of the alignment criterion, all modes of the isotropic model being alike.
    """
    t = np.concatenate([[0.0], np.geomspace(0.1, 300.0, round(160 * scale**0.5))])
    etas, betas = np.array([0.0, 0.01, 0.04, 0.1, 0.2]), np.array([0.04, 0.4, 2.0, 100.0])
    by_eta = _mode_paths(t, etas, np.full(len(etas), 0.4))
    by_beta = _mode_paths(t, np.full(len(betas), 0.04), betas)
    return {"t": t, "etas": etas, "betas": betas, "by_eta": by_eta, "by_beta": by_beta}


def _mode_paths(t: Array, eta: Array, beta: Array) -> Array:
    """(B, T, 4): p, s, tau, K of each pair of rates, integrated one by one: one stiff member slows no other."""
    a, alpha_p, w0 = 1.1, 1.0, np.sqrt(0.1)
    out = []
    for eta_i, beta_i in zip(eta, beta, strict=True):

        def velocity(_: float, y: Array, eta_i: float = eta_i, beta_i: float = beta_i) -> Array:
            p, w, v = y.T
            return np.stack(modes.field(p, w, v, a, 1.0, alpha_p, beta_i, eta_i, eta_i), axis=1)

        # atol far below a collapsed weight (e^-60 here), so that tau = v / w keeps its digits all the way down
        p, w, v = integrate(velocity, np.array([[0.1, w0, 0.0]]), t, rtol=PICTURE_RTOL, atol=1e-32).y[:, 0].T
        tau = v / w
        out.append(np.stack([p, w * w, tau, modes.alignment_rate(p, w * w, a, alpha_p, tau, eta_i)], axis=1))
    return np.stack(out)


INVARIANCE = Setting(
    GaussianViews(signal=(1.0, 1.0, 1.0), noise=(0.5, 0.15, 0.0), angle=0.5),
    Network(k=3, w0=1.2),
    Objective(loss="invariance"),
    Training(t_end=8.0, points=17, lr=0.05, batch=16),
)


def invariance(scale: float, results: Path) -> Arrays:
    """Singular values of W under the invariance loss, S singular: exact (401, 3) over exact_t, descent (1, T, 3) and
    sgd (R, T, 3) over t."""
    from full_models.linear import descend, sgd

    fine = exact(INVARIANCE.replace(training__points=401))
    of = lambda run: singular_values(run["W"])  # noqa: E731
    measured = descend(INVARIANCE)
    sampled = sgd(INVARIANCE, replicas=round(32 * scale))
    return {
        "exact_t": fine.t, "exact": of(fine)[0], "t": measured.t, "descent": of(measured), "sgd": of(sampled)
    }  # fmt: skip


def phase_diagram(scale: float, results: Path) -> Arrays:
    """Collapse and its time over weight decay and the predictor's start on the parabola: see `noncollapse.diagram`."""
    side = round(300 * scale**0.5)
    return diagram.compute(diagram.Axis("eta", 0.0, 0.3), diagram.Axis("p0", 0.0, 1.0), size=(side, side))[0]


PICTURES: dict[str, Callable[[float, Path], Arrays]] = {
    "phase-portrait": portrait,
    "phase-diagram": phase_diagram,
    "weight-decay": decay,
    "rates": rates,
    "invariance": invariance,
    "deep-modes": deep_modes,
}


def compute(name: str, scale: float = 1.0, results: Path = Path("results")) -> Arrays:
    """The arrays of one picture; `scale` multiplies samples (1: quick). Raises ValueError on an unknown name."""
    if name not in PICTURES:
        raise ValueError(f"no picture is called {name!r}: choose one of {', '.join(PICTURES)}")
    return PICTURES[name](scale, results)


def save(results: Path, name: str, scale: float = 1.0, budget: str = "quick") -> Path:
    """Compute a picture and write its arrays and provenance; returns the .npz. Raises as `compute`."""
    began = time.perf_counter()
    arrays = compute(name, scale, results)
    path = results / "pictures" / f"{name}.npz"
    records.write_arrays(path, arrays)
    about: dict[str, Any] = {
        "name": name,
        "provenance": records.provenance()
        | {
            "budget": budget,
            "scale": scale,
            "sources": sources_hash(),
            "seconds": round(time.perf_counter() - began, 2),
        },
    }
    records.write_json(path.with_suffix(".json"), about)
    return path


def sources_hash() -> str:
    """sha256 (16 hex) of the code the pictures depend on."""
    folders = [sorted((ROOT / name).glob("*.py")) for name in ("dynamics", "full_models")]
    here = [Path(__file__).with_name(name) for name in ("pictures.py", "deep_picture.py", "diagram.py")]
    return hash_of([*here, *folders[0], *folders[1]])
