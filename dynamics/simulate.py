"""From a Setting to its Run: `flow` integrates the ODE, `exact` evaluates the closed form where one is known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from dynamics import invariance, modes, predictor
from dynamics.run import Array, Run
from dynamics.setting import Setting, SettingError
from dynamics.stacked import Stacked
from dynamics.start import check_run, shared_basis, start
from dynamics.views import Moments, moments
from dynamics.weight_flow import TINY, Packing, integrated

COLLAPSED = 1e-2  # collapse_time: when ‖W‖ has fallen to this share of its start
ESCAPED = 2.0  # escape_time: when it has grown to this multiple
LARGEST = 1e50  # of a weight, a moment, a rate: products of five of them, times draws and sums, are numbers
SMALLEST = 1e-150  # of a start of weights

EVENTS = ("collapse_time", "escape_time")


class NoClosedForm(ValueError):
    """This Setting has no known closed form; use the flow rung."""


def flow(setting: Setting, timed: bool = True) -> Run:
    """The Run of one Setting's gradient flow, integrated at rtol 1e-10; see `flow_batch`.

    Weights below atol, 1e-14 for starts of order 1, have no digits; where one grows again, or an optimal predictor needs them,
    they are integrated by rtol alone.
    """
    return flow_batch([setting], timed)[0]


def flow_batch(settings: Sequence[Setting], timed: bool = True) -> list[Run]:
    """Runs of Settings that share shapes, objective and times, integrated as one batch.

    obs: W, P, V and the velocities dW, dP, dV, each (1, T, ...). facts: method, evaluations, drift of the balance
    (Theorem 1, where it is conserved), and if `timed` collapse_time and escape_time, whose roots need a dense
    output. Settings that `matrix_setting` covers go through the fast matrix flows, each with steps of its own, and their facts
    say the spectral radius and why the method was chosen; others go through `solver` as one system.
    Raises SettingError if the Settings do not fit together.
    """
    starts = _fitting_starts(settings)
    W0, P0, V0 = (np.stack(arrays) for arrays in zip(*starts, strict=True))
    problem, t, pack = Stacked.of(settings), times(settings[0]), Packing(W0.shape[1:])
    paths = integrated(settings, problem, (W0, P0, V0), t, (COLLAPSED, ESCAPED) if timed else ())
    obs = _observed(problem, *pack.split(np.stack([path.y for path in paths])))
    runs = []
    for i, (s, path) in enumerate(zip(settings, paths, strict=True)):
        own = {name: X[i : i + 1] for name, X in obs.items()}
        passed = dict(zip(EVENTS, path.passages, strict=False))  # no times where none were asked
        runs.append(_run(s, "flow", t, own, path.facts | passed))
    return runs


def _fitting_starts(settings: Sequence[Setting]) -> list[tuple[Array, Array, Array]]:
    """(W, P, V) of every Setting of a batch. Raises SettingError if they are no batch."""
    if not settings:
        raise SettingError("a batch needs at least one Setting")
    first = settings[0]
    if first.objective.loss not in ("invariance", "predictor"):
        raise SettingError(f"objective.loss {first.objective.loss!r} has no weight flow: use invariance or predictor")
    shared = [(s.objective, s.training.t_end, s.training.points) for s in settings]
    starts = [_start(s) for s in settings]
    if any(s != shared[0] for s in shared) or len({W.shape for W, _, _ in starts}) > 1:
        raise SettingError(
            "a batch shares one objective, one t_end, one number of points and one shape (k, d): integrate these Settings "
            "one by one"
        )
    return starts


def _start(setting: Setting) -> tuple[Array, Array, Array]:
    """`start`. Raises MemoryError where a Run could never fit, and SettingError where the flow's products, of four weights and a moment at most, would leave the range of numbers."""
    net, tr, m = setting.network, setting.training, moments(setting)
    sizes = (net.w0, net.p0, net.tau0 * net.w0, tr.alpha_p, tr.alpha_p * net.w0, tr.eta, tr.eta_p or 0.0, tr.beta)
    if not max(np.abs(sizes).max(), np.abs(m.A).max(), np.abs(m.B).max()) < LARGEST:
        raise SettingError(
            f"weights, moments and rates must stay below {LARGEST:g} for their products: choose other units"
        )
    if 0 < net.w0 < SMALLEST:
        raise SettingError(f"network.w0 is {net.w0:g}, whose square is no number: give 0, or {SMALLEST:g} and more")
    check_run(setting)
    return start(setting)


def times(setting: Setting) -> Array:
    """(points,) equally spaced flow times from 0 to t_end."""
    return np.linspace(0.0, setting.training.t_end, setting.training.points)


def _observed(problem: Stacked, W: Array, P: Array, V: Array) -> dict[str, Array]:
    """What a Run holds of states W (B, T, k, d), P (B, T, k, k), V (B, T, k, d): with the field's velocities and the loss (B, T)."""
    o, along = problem.setting.objective, problem.over_times()
    dW, dP, dV = along.velocity(W, P, V)
    if o.target == "online":
        V = W
    if problem.optimal:
        P = predictor.optimal_predictor(W, V, *along.roots)
    return {"W": W, "P": P, "V": V, "loss": along.loss(W, P, V), "dW": dW, "dP": dP, "dV": dV}


def _run(setting: Setting, source: str, t: Array, obs: dict[str, Array], facts: dict[str, Any]) -> Run:
    """Raises SettingError unless all it holds is finite."""
    for name, values in obs.items():
        if not np.isfinite(values).all():
            raise SettingError(
                f"{name} leaves the range of numbers: give smaller weights, moments or rates, or a smaller t_end"
            )
    if drift := _drift(setting, t, obs["W"][0], obs["P"][0]):
        facts = facts | {"drift": drift}
    return Run(setting, source, t, obs, facts)


def _drift(setting: Setting, t: Array, W: Array, P: Array) -> dict[str, float]:
    """Largest departure of each conserved quantity from its law, relative to ‖W‖² + ‖P‖² / alpha_p; {} where none is conserved."""
    o, tr = setting.objective, setting.training
    if o.loss != "predictor" or o.predictor != "linear" or not o.stop_gradient or tr.eta_p not in (None, tr.eta):
        return {}
    C0 = predictor.balance(W[0], P[0], tr.alpha_p)
    law = np.exp(-2 * tr.eta * t)[:, None, None] * C0
    gap = np.linalg.norm(predictor.balance(W, P, tr.alpha_p) - law, axis=(1, 2))
    size = (np.linalg.norm(W, axis=(1, 2)) ** 2 + np.linalg.norm(P, axis=(1, 2)) ** 2 / tr.alpha_p).max()
    return {"balance": float(gap.max() / max(size, TINY))}


@np.errstate(over="ignore", invalid="ignore")  # what overflows is refused at the end
def exact(setting: Setting) -> Run:
    """The Run from the closed form. Exact up to rounding. Raises NoClosedForm where none is known.

    Known: the invariance flow; no predictor with an online target (symmetric C); the predictor flow on the parabola
    (start = "parabola", commuting moments, no weight decay, online target) through Lambert's W.
    """
    m, o, t = moments(setting), setting.objective, times(setting)
    W0, P0, V0 = _start(setting)
    eye = np.eye(m.d) * setting.training.eta
    if o.loss == "invariance":
        W = _decayed(W0, m.S + eye, t)
        V = invariance.target_form(W0, V0, m.S + eye, setting.training.beta, t) if o.target == "ema" else W
        return _exact_run(setting, t, W, P0, V)
    if o.loss == "predictor" and o.predictor == "none" and o.target == "online" and m.symmetric:
        M = m.A - m.C if o.stop_gradient else m.S
        W = _decayed(W0, M + eye, t)
        return _exact_run(setting, t, W, P0, W)
    if _on_parabola(setting, m):
        return _parabola_run(setting, m, t, W0, P0)
    raise NoClosedForm("no closed form is known for this Setting: use the flow rung")


def _decayed(W0: Array, M: Array, t: Array) -> Array:
    """`invariance.closed_form`. Raises NoClosedForm where rounding would show."""
    if invariance.blurred(M, np.linalg.eigh(M)[0], t):
        raise NoClosedForm(
            f"by t = {t[-1]:g} the rounding of the slowest rates shows in the closed form: give a smaller t_end"
        )
    return invariance.closed_form(W0, M, t)


def _on_parabola(setting: Setting, m: Moments) -> bool:
    o, tr = setting.objective, setting.training
    plain = (
        o.loss == "predictor" and o.predictor in ("linear", "symmetric") and o.stop_gradient and o.target == "online"
    )
    still = tr.eta == 0 and tr.eta_p in (None, 0.0)
    return plain and still and setting.network.start == "parabola" and m.commute


def _parabola_run(setting: Setting, m: Moments, t: Array, W0: Array, P0: Array) -> Run:
    r = min(W0.shape)
    basis = shared_basis(m)[:, :r]
    a, c = (np.einsum("ij,ik,kj->j", basis, M, basis) for M in (m.A, m.C))
    if not (c > 0).all():
        raise NoClosedForm("the parabola's closed form needs every mode of C to be positive: use the flow rung")
    try:
        p = modes.parabola_solution(np.diag(P0)[:r], a, c, t)
    except ValueError as error:
        raise NoClosedForm(str(error)) from None
    W = np.zeros((len(t), *W0.shape))
    P = np.zeros((len(t), *P0.shape))
    W[:, :r] = (p / np.sqrt(setting.training.alpha_p))[:, :, None] * basis.T
    P[:, range(r), range(r)] = p
    return _exact_run(setting, t, W, P, W)


def _exact_run(setting: Setting, t: Array, W: Array, P: Array, V: Array) -> Run:
    """Velocities come from the field at the exact state, so that flow claims can be asked of this Run too."""
    P = np.broadcast_to(P, (len(t), *P.shape[-2:])).copy()
    obs = _observed(Stacked.of([setting]), W[None], P[None], V[None])
    return _run(setting, "exact", t, obs, {"method": "closed form"})
