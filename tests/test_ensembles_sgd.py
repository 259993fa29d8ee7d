"""Ensembles of SGD against autograd on the same batches, the drawn moments against their law, and what may share a batch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sgd_cases import BASE, FORMS, ROUNDING, STEPS, VARIANTS, SamePairs, gap

from dynamics.setting import GaussianViews, PointViews, Setting, SettingError
from full_models.batches import Moments, Pairs, Shape
from full_models.ensemble import _bounded, sgd_ensemble
from full_models.linear import sgd
from full_models.sgd_steps import aligned_copy
from full_models.vectors import VECTOR_BYTES

torch.set_num_threads(1)

ENGINES = ("compiled", "batched")


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", VARIANTS)
def test_each_step_is_that_of_autograd_on_the_same_batch(name: str, form: str, engine: str) -> None:
    setting = VARIANTS[name].replace(training__batch=FORMS[form])
    assert Shape.of(setting).by_moments == (form == "moments")
    expected = sgd(setting, 3)
    (run,) = sgd_ensemble([setting], 3, engine=engine, streams=SamePairs)
    assert gap(run, expected) < ROUNDING
    np.testing.assert_allclose(run["loss"], expected["loss"], rtol=100 * ROUNDING)  # J is quartic, its terms may cancel
    np.testing.assert_array_equal(run.t, expected.t)
    assert np.abs(expected["W"][:, -1] - expected["W"][:, 0]).max() > 1e-3  # and they have moved


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", [name for name in VARIANTS if name not in ("images", "wide")])
def test_at_sizes_that_the_products_tile_each_step_is_that_of_autograd_too(name: str, form: str) -> None:
    d = 16
    views = GaussianViews(tuple(1 - i / 20 for i in range(d)), (0.2, 0.1) * (d // 2), angle=0.4, twist=0.5)
    setting = VARIANTS[name].replace(views=views, network__k=d, training__batch=8 if form == "pairs" else 40)
    (run,) = sgd_ensemble([setting], 2, streams=SamePairs)
    assert Shape.of(setting).by_moments == (form == "moments")
    assert gap(run, sgd(setting, 2)) < ROUNDING  # its 40 is the longest sum here as well


@pytest.mark.parametrize("form", FORMS)
def test_a_stream_may_lay_its_arrays_out_as_it_likes(form: str) -> None:
    class Columns(SamePairs):
        def take(self, steps: int) -> Pairs | Moments:
            batch = super().take(steps)
            return type(batch)(*(None if M is None else np.asfortranarray(M) for M in batch))

    setting = VARIANTS["predictor"].replace(training__batch=FORMS[form])
    (run,), (plain,) = (sgd_ensemble([setting], 2, streams=streams) for streams in (Columns, SamePairs))
    np.testing.assert_array_equal(run["W"], plain["W"])


def test_in_float32_each_step_is_that_of_autograd_to_its_rounding() -> None:
    for engine in ENGINES:
        for batch in FORMS.values():
            setting = VARIANTS["two decays"].replace(training__batch=batch)
            (run,) = sgd_ensemble([setting], 2, engine=engine, dtype="float32", streams=SamePairs)
            off = gap(run, sgd(setting, 2))
            assert 1e-9 < off < ROUNDING * 2**29  # the same law with eps of float32; 1e-9: it was float32


MUTANTS = {  # what an engine with this fault would have computed, as the Setting that asks for it
    "alpha_p lost": ("two decays", {"training__alpha_p": 1.0}),
    "decay of P taken from W": ("two decays", {"training__eta_p": 0.3}),
    "decay lost": ("decay", {"training__eta": 0.0}),
    "C transposed": ("predictor", {"views__twist": -0.5}),
    "target not an average": ("ema", {"objective__target": "online"}),
    "average too fast": ("ema", {"training__beta": 0.701}),
    "gradient through the target": ("predictor", {"objective__stop_gradient": False}),
    "one direction only": ("symmetrised", {"objective__symmetrised": False}),
    "P not symmetrised": ("symmetric P", {"objective__predictor": "linear"}),
    "P learned": ("no predictor", {"objective__predictor": "linear"}),
}


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", MUTANTS)
def test_a_wrong_step_is_told_from_autograds(name: str, engine: str) -> None:
    right, change = MUTANTS[name]
    for batch in FORMS.values():
        setting = VARIANTS[right].replace(training__batch=batch)
        (wrong,) = sgd_ensemble([setting.replace(**change)], 2, engine=engine, streams=SamePairs)
        assert gap(wrong, sgd(setting, 2)) > 1e6 * ROUNDING  # at the order of the fault, not of rounding


def test_what_the_products_read_begins_at_a_whole_vector() -> None:
    M = np.arange(41.0)[1:].reshape(2, 4, 5)  # eight bytes after another number
    for given in (M, M.mT, M.astype("float32")):
        copies = [
            aligned_copy(given) for _ in range(20)
        ]  # all in memory at once: numpy begins every other one at a vector
        assert all(copy.ctypes.data % VECTOR_BYTES == 0 for copy in copies)
        assert copies[0].flags.c_contiguous and copies[0].dtype == given.dtype
        np.testing.assert_array_equal(copies[0], given)
        copies[0] += 1
        assert (copies[0] != given).all()  # a copy, not a view: lanes start from the same arrays


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("batch", [2, 30])
def test_a_run_does_not_depend_on_what_runs_beside_it(engine: str, batch: int) -> None:
    """Not on other replicas, rates, widths or horizons; and rates share their noise, replicas do not."""
    base = BASE.replace(training__batch=batch, training__t_end=1.0, training__points=3)
    many = [base.replace(network__k=k, training__lr=h) for k in (2, 4) for h in (0.1, 0.05)]
    many.append(base.replace(training__eta=0.2))
    runs = sgd_ensemble(many, 70, engine=engine)
    for i, setting in enumerate(many):
        (alone,) = sgd_ensemble([setting], 2, seed0=67, engine=engine)
        for name in ("W", "P", "loss"):
            np.testing.assert_allclose(alone[name], runs[i][name][67:69], rtol=1e-11)  # products may round otherwise
    assert [run.facts["steps"] for run in runs] == [10, 20, 10, 20, 20]  # t_end = 1 over each rate
    assert [run.setting for run in runs] == many
    ends = runs[1]["W"][:, -1]
    assert np.abs(ends[0] - ends[1]).max() > 1e-3  # other noise: order of the step, far above rounding
    together, apart = ends - runs[4]["W"][:, -1], ends - np.roll(runs[4]["W"][:, -1], 1, 0)
    assert (
        together.std(0) < apart.std(0) / 2
    ).all()  # common random numbers: the rates' difference has less noise than either


@pytest.mark.parametrize("form", FORMS)
def test_the_engines_and_the_forms_agree_in_law_with_autograd(form: str) -> None:
    """Mean weights after 20 steps from own streams, against 2000 replicas by autograd with theirs."""
    setting = BASE.replace(training__batch={"pairs": 2, "moments": 8}[form], training__t_end=1.0, training__points=2)
    assert Shape.of(setting).by_moments == (form == "moments")
    expected = sgd(setting, 2000)["W"][:, -1].reshape(2000, -1)
    for engine in ENGINES:
        (run,) = sgd_ensemble([setting], 2000, engine=engine)
        got = run["W"][:, -1].reshape(2000, -1)
        error = np.sqrt((got.var(0) + expected.var(0)) / 2000)
        assert (np.abs(got.mean(0) - expected.mean(0)) < 4 * error).all()  # 4 standard errors, n = 2000 on both sides
        ratio = np.log(got.var(0) / expected.var(0))
        assert (np.abs(ratio) < 4.5 * np.sqrt(4 / 2000)).all()  # se of log s² is √(2/n); two of them, 6 weights


def narrow(setting: Setting, replica: int, dtype: object) -> SamePairs:
    """A stream that does not ask which type is wanted."""
    return SamePairs(setting, replica, np.float32)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: sgd_ensemble([], 1), "no Settings"),
        (lambda: sgd_ensemble(BASE, 1), "settings is a Setting: give a list"),
        (lambda: sgd_ensemble((s for s in [BASE]), 1), "settings is a generator: give a list of Settings"),
        (lambda: sgd_ensemble({1: BASE}, 1), "settings is a dict: give a list of Settings"),
        (lambda: sgd_ensemble([BASE, None], 1), r"settings\[1\] is None: give a list of Settings"),
        (lambda: sgd_ensemble([BASE], 0), "replicas is 0: give a whole number >= 1"),
        (lambda: sgd_ensemble([BASE], 1.5), "replicas is 1.5: give a whole number >= 1"),
        (lambda: sgd_ensemble([BASE], 1, seed0=-1), "seed0 is -1: give a whole number >= 0"),
        (lambda: sgd_ensemble([BASE], 1, seed0=0.5), "seed0 is 0.5: give a whole number >= 0"),
        (lambda: sgd_ensemble([BASE], 1, device="cud"), "device 'cud' is not known: use cpu or cuda"),
        (lambda: sgd_ensemble([BASE], 1, device="meta"), "device 'meta' is not known: use cpu or cuda"),
        (lambda: sgd_ensemble([BASE], 1, streams=narrow), "a stream gave float32 for dtype float64"),
        (lambda: sgd_ensemble([BASE], 1, engine="batched", streams=narrow), "a stream gave float32 for dtype float64"),
        (lambda: sgd_ensemble([BASE], 1, dtype="float16"), "dtype 'float16' is not one of"),
        (lambda: sgd_ensemble([BASE], 1, engine="fast"), "engine 'fast' is not one of"),
        (lambda: sgd_ensemble([BASE], 1, diverged="keep"), "diverged 'keep' is not one of"),
        (lambda: sgd_ensemble([BASE], 1, device="cuda", engine="compiled"), 'use engine = "batched"'),
        (lambda: sgd_ensemble([BASE, BASE.replace(seed=4)], 1), "share no batches"),
        (lambda: sgd_ensemble([BASE, BASE.replace(views__angle=0.1)], 1), "share no batches"),
        (lambda: sgd_ensemble([BASE, BASE.replace(objective__symmetrised=True)], 1), "share no batches"),
        (lambda: sgd_ensemble([BASE, BASE.replace(training__batch=6)], 1), "share no batches"),
        (lambda: sgd_ensemble([BASE.replace(objective__predictor="optimal")], 1), "use full_models.linear.sgd"),
        (lambda: sgd_ensemble([BASE.replace(objective__loss="nt_xent")], 1), "use 'predictor' or 'invariance'"),
        (lambda: sgd_ensemble([BASE.replace(network__kind="mlp")], 1), "'mlp' is no linear network: use 'linear'"),
        (lambda: sgd_ensemble([BASE.replace(views=PointViews())], 1), "no linear moments"),
    ],
)
def test_bad_input_says_what_to_do(call, message: str) -> None:
    with pytest.raises(SettingError, match=message):
        call()


@pytest.mark.skipif(torch.cuda.is_available(), reason="the machine has the device")
def test_an_absent_gpu_is_named() -> None:
    with pytest.raises(SettingError, match="device 'cuda' is not there"):
        sgd_ensemble([BASE], 1, device="cuda")


@pytest.mark.parametrize("engine", ENGINES)
def test_a_diverging_rate_is_named_or_dropped_and_the_others_stay(engine: str) -> None:
    wild = BASE.replace(training__lr=40.0, training__t_end=40.0 * 20 * STEPS)
    good = BASE.replace(training__t_end=0.05 * 20 * STEPS)
    with pytest.raises(SettingError, match=r"diverged in 1 of 2 Settings, the first with lr = 40: .*smaller rates"):
        sgd_ensemble([good, wild], 2, engine=engine)
    (kept,) = sgd_ensemble([good, wild], 2, engine=engine, diverged="drop")
    (alone,) = sgd_ensemble([good], 2, engine=engine)
    np.testing.assert_allclose(kept["W"], alone["W"], rtol=1e-11)  # products may round otherwise


@pytest.mark.parametrize("name", ["W", "P", "V"])
@pytest.mark.parametrize("value", [2e6, 1e200, np.nan])  # 1e200: its square is beyond float64
def test_a_run_is_bounded_only_where_all_its_weights_are(name: str, value: float) -> None:
    (run,) = sgd_ensemble([VARIANTS["ema"]], 2, dtype=np.dtype("float32"))  # pyright: ignore[reportArgumentType]
    assert _bounded(run)
    assert run.facts["dtype"] == "float32"  # a name, which goes into JSON, whatever named it
    run[name][1, -1, 0, 0] = value  # beyond NORM_LIMIT, 1e6
    assert not _bounded(run)
