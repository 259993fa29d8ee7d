"""On a CUDA GPU SGD ensembles take the steps of the CPU, or agree with it in law; skipped where there is none."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from gpu_cases import NEEDS_GPU
from sgd_cases import BASE, FORMS, ROUNDING, VARIANTS, SamePairs, gap
from sgd_law import FOUR_SE, LAWS, drawn, entries, least_p_of, least_p_value, standard_errors_off, worst

from dynamics.setting import SettingError
from dynamics.views import moments
from full_models.ensemble import sgd_ensemble
from full_models.linear import sgd

pytestmark = NEEDS_GPU
torch.set_num_threads(1)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", VARIANTS)
def test_each_step_of_an_ensemble_is_that_of_autograd_on_the_same_batch(name: str, form: str) -> None:
    setting = VARIANTS[name].replace(training__batch=FORMS[form])
    (run,) = sgd_ensemble([setting], 3, device="cuda", streams=SamePairs)
    assert gap(run, sgd(setting, 3)) < ROUNDING
    (other,) = sgd_ensemble(
        [setting.replace(training__t_end=1.001 * setting.training.t_end)], 3, device="cuda", streams=SamePairs
    )
    assert gap(other, sgd(setting, 3)) > 1e6 * ROUNDING  # a step longer by 1e-3 is seen


@pytest.mark.parametrize("name", LAWS)
def test_drawn_moments_have_the_mean_and_covariance_of_a_batch(name: str) -> None:
    batch = drawn(LAWS[name], "cuda")
    mean, covariance = standard_errors_off(LAWS[name], batch)
    assert mean < 4.5  # standard errors, n = 20 000; the largest of up to 27 entries, hence half a one beyond 4
    assert covariance < 5  # standard errors, n = 20 000; the largest of up to 729
    if name != "clean anchor":  # its law is singular: functionals of it are constants
        assert least_p_value(LAWS[name], batch) > FOUR_SE  # n = 20 000 against 20 000, 5 functionals


@pytest.mark.parametrize("batch", [2, 30])
def test_images_are_drawn_as_those_of_the_pool(batch: int) -> None:
    setting = VARIANTS["images"].replace(training__batch=batch)
    m, got = moments(setting), drawn(setting, "cuda")
    assert (
        worst(entries(got), np.concatenate([m.A.ravel(), m.C.ravel()])) < 4.5
    )  # standard errors, n = 20 000, 18 entries
    assert least_p_of(got, drawn(setting, "numpy")) > FOUR_SE  # n = 20 000 against 20 000, 5 functionals


@pytest.mark.parametrize("batch", [2, 30])
def test_a_run_does_not_depend_on_what_runs_beside_it(batch: int) -> None:
    base = BASE.replace(training__batch=batch, training__t_end=1.0, training__points=3)
    many = [base.replace(network__k=k, training__lr=h) for k in (2, 4) for h in (0.1, 0.05)]
    runs = sgd_ensemble(many, 70, device="cuda")
    for setting, run in zip(many, runs, strict=True):
        (alone,) = sgd_ensemble([setting], 2, seed0=67, device="cuda")
        for name in ("W", "P", "loss"):
            np.testing.assert_allclose(alone[name], run[name][67:69], rtol=1e-11)  # products may round otherwise


def test_a_thousand_replicas_at_once_agree_in_law_with_those_of_the_cpu() -> None:
    setting = BASE.replace(training__batch=8, training__t_end=1.0, training__points=2)
    got, expected = (
        run["W"][:, -1].reshape(1000, -1)
        for device, engine in (("cuda", None), ("cpu", "compiled"))
        for run in sgd_ensemble([setting], 1000, device=device, engine=engine)
    )
    error = np.sqrt((got.var(0) + expected.var(0)) / 1000)
    assert (np.abs(got.mean(0) - expected.mean(0)) < 4 * error).all()  # 4 standard errors, n = 1000 on both sides
    ratio = np.log(got.var(0) / expected.var(0))
    assert (np.abs(ratio) < 4.5 * np.sqrt(4 / 1000)).all()  # se of log s² is √(2/n); two of them, 6 weights


@pytest.mark.parametrize("batch", [2, 30])
@pytest.mark.parametrize("name", ["two decays", "symmetric P", "symmetrised ema", "images"])
def test_blocks_replayed_as_a_graph_are_the_steps_one_by_one(name: str, batch: int) -> None:
    """Records every 10 steps leave no block of 16 whole; one record after 160 steps leaves nine to the graph."""
    setting = VARIANTS[name].replace(training__batch=batch, training__t_end=0.05 * 160)
    (stepped,), (replayed,) = (
        sgd_ensemble([setting.replace(training__points=points)], 70, device="cuda") for points in (17, 2)
    )
    for M in "WPV":
        np.testing.assert_allclose(replayed[M][:, -1], stepped[M][:, -1], rtol=1e-12, atol=1e-14)  # the same kernels
        assert np.abs(stepped[M][:, -1] - stepped[M][:, -2]).max() > 1e-4  # ten steps are seen


@pytest.mark.parametrize("batch", [2, 30])
@pytest.mark.parametrize("name", ["predictor", "images"])
def test_single_steps_after_a_graph_go_on_in_the_stream(name: str, batch: int) -> None:
    """Records every 40 steps: two blocks, of which the second is replayed, and 8 steps one by one, then 8 and two replays, …"""
    setting = VARIANTS[name].replace(training__batch=batch, training__t_end=0.05 * 120)
    (mixed,), (whole,) = (sgd_ensemble([setting.replace(training__points=n)], 70, device="cuda") for n in (4, 121))
    for M in "WPV":
        np.testing.assert_allclose(mixed[M], whole[M][:, ::40], rtol=1e-12, atol=1e-14)  # the same kernels
        assert np.abs(whole[M][:, 40] - whole[M][:, 39]).max() > 1e-5  # a step is seen


def test_a_full_memory_is_one_sentence() -> None:
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(1e-3)
    try:
        with pytest.raises(SettingError, match=r"memory of cuda is full: give fewer replicas a call \(seed0"):
            sgd_ensemble([BASE.replace(training__batch=2000, network__k=3)], 10**6, device="cuda")
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
