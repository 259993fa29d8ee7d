"""The corrected claims of the note's section 3.3 speak of both ends, of what they correct, and see what is wrong."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pytest

from derivations import byol_balance, byol_conditions, byol_limits, byol_turning, byol_without, tian_basin, tian_sides
from derivations.claim import Claim
from derivations.registry import CLAIMS
from dynamics import modes
from dynamics.run import Array, Run
from dynamics.setting import Setting
from dynamics.simulate import exact, flow
from dynamics.views import moments
from noncollapse.rungs import FLOOR, read
from noncollapse.search import sample

ENDS: dict[str, Callable[[Setting], Array]] = {  # claim -> where each mode ends; 0 is collapse
    "byol-aligned-limit": lambda s: byol_balance.ends(s)[0],
    "byol-survival": lambda s: byol_balance.survivors(s)[0],
    "tian-basin-sides": tian_sides.side_ends,
}
CORRECTED = (*byol_balance.CLAIMS, *byol_turning.CLAIMS, *byol_without.CLAIMS)


@pytest.mark.parametrize("name", ENDS)
def test_a_claim_with_two_ends_is_asked_about_both(name: str) -> None:
    drawn = sample(CLAIMS[name], CLAIMS[name].states, 25, seed=0)  # under half of what the quick budget draws
    assert any((ENDS[name](s) == 0).any() for s in drawn)
    assert any((ENDS[name](s) > 0).any() for s in drawn)


@pytest.mark.parametrize("claim", CORRECTED, ids=lambda c: c.id)
def test_it_holds_and_its_mutants_fail_somewhere(claim: Claim) -> None:
    drawn = [claim.base, *sample(claim, claim.states, 6, seed=3)]
    assert all(read(claim, s, "flow", 1).ok for s in drawn)
    for name, mutant in claim.mutants.items():
        runs = [(s, flow(s)) for s in drawn]
        assert any(np.abs(np.maximum(mutant(r), 0) if claim.bound else mutant(r)).max() > 1e-3 for _, r in runs), name


def test_a_blind_mode_is_seen_on_whatever_axis_it_lies() -> None:
    """Shared eigenvectors in another order than the inputs put zeros on W's diagonal, where nothing could be told."""
    claim = CLAIMS["byol-blind-mode"]
    runs = [flow(s) for s in sample(claim, claim.states, 40, seed=0)]
    assert any((np.diagonal(run["W"][0, 0]) == 0).any() for run in runs), "some are in another order"
    for run in runs:
        assert (byol_conditions.blind_modes(run)[0][0, 0] > 0.028).all()  # the domains' least p w(0): √½ 0.2² = 0.0283


def test_the_note_s_formula_is_the_balanced_case() -> None:
    """κ = 0 at alpha_p = 1: the end is (c/a)², and Lambert's closed form gets there."""
    setting = CLAIMS["byol-aligned-limit"].base.replace(network__start="parabola")
    _, _, a, c = byol_balance.start_modes(setting)
    np.testing.assert_allclose(byol_balance.ends(setting)[0], (c / a) ** 2, rtol=1e-12)  # rounding of a few products
    W = exact(setting)["W"][0, -1]
    np.testing.assert_allclose(np.sum(W**2, axis=1), (c / a) ** 2, atol=1e-5)  # e^{-rate t} = e^{-0.6 · 30} = 1e-8


def test_a_large_predictor_kills_a_small_encoder_without_decay_and_with_full_rank_C() -> None:
    claim = CLAIMS["byol-aligned-limit"]
    setting = claim.base.replace(views__noise=(0.5, 0.5), views__signal=(0.5, 0.5), network__p0=1.5, network__w0=0.4)
    assert all(a.holds(setting) for a in claim.states)
    assert (byol_balance.ends(setting)[0] == 0).all()
    W = flow(setting)["W"][0]
    assert np.linalg.norm(W[-1]) < 1e-6 * np.linalg.norm(W[0])  # the rate of w is half of 2q(aq - c) >= 2: e^{-30}


@pytest.mark.parametrize(
    ("views", "collapses"),
    [
        ({"views__noise": (0.5, 0.5), "views__anchor": True}, True),  # not exchangeable, and unpredictable all the same
        ({"views__noise": (0.5, 0.5), "views__twist": 0.9}, True),
        ({"views__noise": (0.0, 0.0), "views__twist": 0.3}, False),  # S is positive definite, and x⁺ = R x
        ({"views__noise": (0.0, 0.0)}, False),
    ],
)
def test_without_stop_gradient_an_encoder_collapses_where_the_views_are_unpredictable(views, collapses) -> None:
    claim = CLAIMS["byol-condition-stop-gradient"]
    setting = claim.base.replace(views__signal=(1.0, 1.0), network__k=2, network__start="aligned", network__p0=1.0)
    setting = setting.replace(network__w0=1.2, **views)  # from where P has time to learn what can be predicted
    assert all(a.holds(setting) for a in claim.states)
    assert all(a.holds(setting) for a in claim.needs) == collapses
    assert read(claim, setting, "flow", 1).ok == collapses


TURNING = CLAIMS["byol-turning"].base


def test_an_encoder_of_one_output_turns_and_one_of_two_rests() -> None:
    """Started at p*, W turns as a rigid line: W(t) = W(0) R(φ' t). With k = 2 the predictor can be a rotation itself."""
    p, _, speed, _ = byol_turning.turning(TURNING)
    P0 = flow(TURNING)["P"][0, 0, 0, 0]  # balanced: p(0) = ‖W(0)‖, and both are proportional to w0
    run = flow(TURNING.replace(network__w0=TURNING.network.w0 * p / P0))
    W0 = run["W"][0, 0, 0]
    angle = speed * run.t
    turned = np.stack(
        [np.cos(angle) * W0[0] - np.sin(angle) * W0[1], np.sin(angle) * W0[0] + np.cos(angle) * W0[1]], -1
    )
    np.testing.assert_allclose(run["W"][0, :, 0], turned, atol=FLOOR)
    np.testing.assert_allclose(run["P"][0, :, 0, 0], p, atol=FLOOR)
    long = TURNING.replace(training__t_end=400.0)
    assert byol_limits.unsettled(flow(long)).item() > 10  # T φ' ‖W‖/‖(W, P)‖ = 400 · 0.37 · 0.7
    assert byol_limits.unsettled(flow(long.replace(network__k=2))).item() < 1e-3  # e^{-rate T} with a rate of order 0.1


def test_convergence_is_asked_where_it_may_fail_and_not_of_one_input() -> None:
    """With d = 1 the data are isotropic, of which byol-stationary-product says already that every start comes to rest."""
    claim, covering = CLAIMS["byol-convergence"], CLAIMS["byol-stationary-product"]
    one = claim.base.replace(views__signal=(1.0,), views__noise=(0.25,))
    assert all(a.holds(one) for a in (*claim.states, *covering.states))
    for k, seed in itertools.product((1, 2, 3), range(4)):
        assert read(claim, one.replace(network__k=k, seed=seed), "flow", 1).ok
    assert all(len(s.get("views.signal")) > 1 for s in sample(claim, claim.states, 20, seed=0))


def test_the_bound_on_the_encoder_is_met() -> None:
    """One output, isotropic data, balanced: ‖W‖² → (c/a)²/alpha, which is R² itself; so R² cannot be improved there."""
    setting = TURNING.replace(views__twist=0.0, training__t_end=60.0)
    run = flow(setting)
    assert np.sum(run["W"][0, -1] ** 2) == pytest.approx(
        byol_turning.radius(setting), abs=FLOOR
    )  # e^{-0.6 · 60} below it


def test_the_offset_in_the_bound_on_the_encoder_is_the_least_that_is_kept() -> None:
    """κI + PᵀP/alpha_p - WWᵀ is positive semidefinite all along and κ the least such number, P symmetric or not."""
    setting = CLAIMS["byol-bounded"].base.replace(network__start="generic", network__w0=1.2, training__alpha_p=2.0)
    run, m, alpha = flow(setting), moments(setting), 2.0
    least = np.linalg.norm(m.C, 2) ** 2 / (alpha * np.linalg.eigvalsh(m.A)[0] ** 2)
    kappa = byol_turning.radius(setting) / setting.network.k - least
    W, P = run["W"][0], run["P"][0]
    assert np.linalg.norm(P[0] - P[0].T) > 0.1  # of order 1: not symmetric
    kept = np.linalg.eigvalsh(kappa * np.eye(setting.network.k) + P.mT @ P / alpha - W @ W.mT)[:, 0]
    np.testing.assert_allclose(kept, 0.0, atol=FLOOR)
    large = setting.replace(network__k=1, network__start="aligned", network__p0=9.0)
    assert byol_turning.radius(large) == pytest.approx(
        np.sum(flow(large)["W"][0, 0] ** 2), rel=1e-12
    )  # κ = 0: rounding


@pytest.mark.parametrize("eta", [0.0, 0.05, 0.1])
def test_the_saddle_of_survival_is_that_of_the_mode_field(eta: float) -> None:
    setting = CLAIMS["byol-survival"].base.replace(training__eta=eta)
    p, _, a, c = byol_balance.start_modes(setting)
    roots = modes.fixed_points(a, c, eta)
    ends = byol_balance.survivors(setting)[0]
    assert (p > roots.p_minus).all()
    np.testing.assert_allclose(ends, roots.p_plus / np.sqrt(setting.training.alpha_p), rtol=1e-12)  # rounding


def test_the_boundary_off_the_parabola_lies_between_the_two_sides() -> None:
    """The counterexample to p(0) < p- starts above the parabola, where the corrected claim does not speak."""
    wrong = CLAIMS["tian-trivial-basin"].base.replace(network__start="aligned", network__w0=0.8)
    assert (tian_sides.start_modes(wrong) < tian_sides.root(wrong, -1)).all()
    assert (tian_sides.offsets(wrong) > 0).all()
    assert tian_sides.rates(wrong).min() < 0
    assert not all(a.holds(wrong) for a in CLAIMS["tian-basin-sides"].states)


@pytest.mark.parametrize(("w0", "way"), [(0.5, 1), (1.0, -1)])
def test_an_averaged_target_started_as_a_copy_moves_one_way(w0: float, way: int) -> None:
    """What the proof of tian-ema-fixed-point says on the way: from either side of p+ both p and v only approach it."""
    claim = CLAIMS["tian-ema-fixed-point"]
    run = flow(claim.base.replace(network__w0=w0, training__points=200))
    start = np.diagonal(run["P"][0, 0])
    assert (way * (tian_basin.root(run.setting, 1) - start) > 0).all()
    v = np.linalg.norm(run["V"][0], axis=-1)
    for path in (np.diagonal(run["P"][0], axis1=-2, axis2=-1), v):
        assert (way * np.diff(path, axis=0) > -FLOOR).all()  # the integrator's global error
    assert (way * (v[1] - v[0]) > FLOOR).all(), "it moves at all"


def test_half_the_ray_collapses_as_slowly_as_one_over_t() -> None:
    claim = CLAIMS["tian-origin-half-unstable"]

    def late(run: Run) -> Array:
        return np.abs(run["P"][0, :, 0, 0])

    down = late(flow(claim.base.replace(training__t_end=800.0)))
    up = late(flow(claim.base.replace(network__p0=-claim.base.network.p0, training__t_end=800.0)))
    assert up[-1] > 0.79  # c/a = 0.8
    assert (
        0.9 < 800.0 * down[-1] < 1.0
    )  # x t -> 1/c = 1 from below; 1/(c x0 t) = 0.5 % and the logarithm of a x are left


FOLD = Setting().replace(  # eta = c²/4a with c = 0.5, a = 0.625; the parabola's start lies above c/2a = 0.4
    views__signal=(0.5,), views__noise=(0.125,), network__k=1, network__start="parabola", network__w0=1.0,
    training__eta=0.1, training__t_end=64.0, training__points=17,
)  # fmt: skip


def test_at_the_fold_the_encoder_approaches_it_like_one_over_t_and_does_not_collapse() -> None:
    claim = CLAIMS["byol-three-conditions"]
    assert [a.name for a in claim.states if not a.holds(FOLD)] == ["no-weight-decay"]
    reading = read(claim, FOLD, "flow", 1)
    assert reading.ok
    assert reading.residual > reading.tolerance, "at t = 64 it still falls: it is the later times that tell"
    W = flow(FOLD.replace(training__t_end=1024.0))["W"][0, -1]
    assert 0.4 < np.linalg.norm(W) < 0.405  # 0.4 + 1/(a c/2a t) to first order: 0.4036 by an integration apart
    beyond = FOLD.replace(training__eta=0.12)
    assert not read(claim, beyond, "flow", 1).ok


def test_a_mode_that_the_views_do_not_share_keeps_its_offset() -> None:
    """C = diag(1, 0): the second mode's predictor dies, its encoder ends at √(1 - 0.25)."""
    claim = CLAIMS["byol-condition-full-rank"]
    setting = claim.base.replace(
        views__signal=(1.0, 0.0), views__noise=(0.25, 1.0), network__k=2, network__start="aligned",
        network__w0=1.0, network__p0=0.5, training__t_end=30.0,
    )  # fmt: skip
    assert all(a.holds(setting) for a in claim.states)
    assert not read(claim, setting, "flow", 1).ok
    assert read(CLAIMS["byol-aligned-limit"], setting, "flow", 1).ok
