"""Streams of minibatches: the drawn moments and views against their law, and what must not change a stream."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from sgd_cases import BASE, VARIANTS
from sgd_law import FOUR_SE, LAWS, drawn, entries, least_p_of, least_p_value, standard_errors_off, worst

from dynamics.images import image_pool
from dynamics.setting import GaussianViews, ImageViews, SettingError
from dynamics.views import moments
from full_models import batches, device_stream
from full_models.batches import GaussianStream, Moments, Pairs, stream
from full_models.device_march import DeviceMarch
from full_models.ensemble import first_lanes
from full_models.law import Law
from full_models.sgd_steps import Batched, Weights

torch.set_num_threads(1)


@pytest.mark.parametrize("kind", ["numpy", "cpu"])
@pytest.mark.parametrize("name", LAWS)
def test_drawn_moments_have_the_mean_and_covariance_of_a_batch(name: str, kind: str) -> None:
    mean, covariance = standard_errors_off(LAWS[name], drawn(LAWS[name], kind))
    assert mean < 4.5  # standard errors, n = 20 000; the largest of up to 27 entries, hence half a one beyond 4
    assert covariance < 5  # standard errors, n = 20 000; the largest of up to 729


@pytest.mark.parametrize("singular", [False, True])
def test_the_factor_of_a_law_has_its_covariance_also_where_cholesky_has_none(singular: bool) -> None:
    # a direction in which nothing varies is a pivot of exactly 0, on any machine
    setting = BASE.replace(views=GaussianViews((1.0, 0.5, 0.0), (0.1, 0.3, 0.0), anchor=True)) if singular else BASE
    m, L = moments(setting), Law.of(setting).L
    joint = np.block([[m.A, m.C], [m.C.T, m.B]])
    if singular:
        with pytest.raises(np.linalg.LinAlgError):
            np.linalg.cholesky(joint)
    assert (np.triu(L, 1) == 0).all()
    rounding = 100 * 2.0**-52 * np.abs(joint).max()  # 100 eps: sums of 2 d = 6 products, and an eigendecomposition
    assert np.abs(L @ L.T - joint).max() < rounding


def test_a_law_is_diagonal_where_it_is_but_not_where_an_angle_is_small() -> None:
    assert Law.of(LAWS["commuting"]).diagonals is not None
    assert Law.of(LAWS["commuting"].replace(views__angle=1e-6)).diagonals is None
    assert Law.of(LAWS["commuting"].replace(views__twist=1e-6)).diagonals is None


def test_a_law_that_all_streams_share_cannot_be_written_to() -> None:
    with pytest.raises(ValueError, match="read-only"):
        Law.of(BASE).L[0, 0] = 0.0


@pytest.mark.parametrize("batch", [2, 30])
@pytest.mark.parametrize("name", ["predictor", "images"])
def test_another_seed_is_other_noise(name: str, batch: int) -> None:
    """Of the same pool of images, which a seed changes too."""
    setting = VARIANTS[name].replace(training__batch=batch)
    pool = image_pool(setting.views, setting.seed) if name == "images" else None
    ours, others = stream(setting, 0), stream(setting.replace(seed=setting.seed + 1), 0)
    here, there = (
        device_stream.device_stream(s, range(3), torch.float64, "cpu")
        for s in (setting, setting.replace(seed=setting.seed + 1))
    )
    if pool is not None:
        ours.x, others.x, here.x, there.x = pool.x, pool.x, *[torch.from_numpy(pool.x)] * 2
    assert np.abs(ours.take(9)[0] - others.take(9)[0]).max() > 0.01  # of the order of the batch's moments, 0.1 to 1
    assert (next(here.take())[0] - next(there.take())[0]).abs().max() > 0.01  # the same


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(
    ("d", "batch"), [(3, 3), (3, 8), (64, 64), (64, 150), (40, 64)]
)  # 64: tiles; 40: not whole ones
def test_the_pass_for_diagonal_laws_is_the_law_itself(d: int, batch: int, dtype: str) -> None:
    """Law.columns on the triangles, against the one pass that takes its place where the blocks of L are diagonal."""
    views = GaussianViews(tuple(1 + i / d for i in range(d)), tuple(0.1 + (i % 3) / 10 for i in range(d)))
    setting = LAWS["commuting"].replace(views=views, training__batch=batch)
    fast, plain = (GaussianStream(setting, 0, np.dtype(dtype)) for _ in range(2))
    assert fast.law.diagonals is not None
    plain.law = Law(plain.law.L, None)
    rounding = 2 * (d + 4) * np.finfo(dtype).eps  # two sums of at most d products, and the scales
    for one, other in zip(fast.take(10), plain.take(10), strict=True):
        assert one is other is None or np.abs(one - other).max() < rounding * np.abs(other).max()


@pytest.mark.parametrize("kind", ["numpy", "cpu"])
@pytest.mark.parametrize("name", ["one direction", "d <= n < 2d", "through the target"])
def test_drawn_moments_cannot_be_told_from_those_of_drawn_pairs(name: str, kind: str) -> None:
    assert least_p_value(LAWS[name], drawn(LAWS[name], kind)) > FOUR_SE  # n = 20 000 against 20 000, 5 functionals


@pytest.mark.parametrize("fault", ["degrees start at n - 1", "all have n degrees"])
def test_wrong_degrees_of_freedom_are_found(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    off_by_one = fault.startswith("degrees")
    wrong = lambda n, m: n - 1.0 - np.arange(m) if off_by_one else np.full(m, float(n))  # noqa: E731
    for module in (batches, device_stream):
        monkeypatch.setattr(module, "degrees", wrong)
    setting = LAWS["one direction"]
    for kind in ("numpy", "cpu"):
        batch = drawn(setting, kind)
        assert standard_errors_off(setting, batch)[0] > 8  # the right law stays below 4.5
        assert least_p_value(setting, batch) < FOUR_SE


def test_moments_of_a_smaller_batch_are_right_in_the_mean_and_found_by_their_spread() -> None:
    setting = LAWS["one direction"]
    batch = drawn(setting.replace(training__batch=7), "numpy")
    mean, covariance = standard_errors_off(setting, batch)
    assert mean < 4.5  # standard errors, as above
    assert covariance > 8  # standard errors; that of the right batch stays below 5
    assert least_p_value(setting, batch) < FOUR_SE


@pytest.mark.parametrize("name", ["predictor", "symmetrised", "images"])
@pytest.mark.parametrize("batch", [2, 30])
def test_a_streams_batches_average_to_the_settings_moments(name: str, batch: int) -> None:
    setting = VARIANTS[name].replace(training__batch=batch, training__eta=0.0)
    got = stream(setting, 0).take(4000)
    if isinstance(got, Pairs):
        n = got.X.shape[-1]
        got = Moments(got.X @ got.X.mT / n, got.X @ got.Y.mT / n, None)
    m = moments(setting)
    assert (
        worst(entries(got), np.concatenate([m.A.ravel(), m.C.ravel()])) < 4.5
    )  # standard errors, n = 4000, 18 entries


@pytest.mark.parametrize("batch", [2, 30])
def test_a_devices_images_are_drawn_as_those_of_the_pool(batch: int) -> None:
    setting = VARIANTS["images"].replace(training__batch=batch)
    m, got = moments(setting), drawn(setting, "cpu")
    expected = np.concatenate([m.A.ravel(), m.C.ravel()])
    assert worst(entries(got), expected) < 4.5  # standard errors, n = 20 000, 18 entries
    assert least_p_of(got, drawn(setting, "numpy")) > FOUR_SE  # n = 20 000 against 20 000, 5 functionals
    one_view = Moments(got.A, got.A, None)  # both views the same
    assert worst(entries(one_view), expected) > 8  # the right ones stay below 4.5
    larger = drawn(setting.replace(training__batch=2 * batch), "cpu")
    assert least_p_of(got, larger) < FOUR_SE


@pytest.mark.parametrize("kind", ["numpy", "cpu"])
def test_views_in_pairs_stay_in_order(kind: str, tmp_path: Path) -> None:
    x = np.random.default_rng(0).standard_normal((20, 3))
    np.savez(tmp_path / "pairs.npz", x=x, x_plus=2 * x)
    views = ImageViews(data=str(tmp_path / "pairs.npz"), augment="pairs", d=0)
    batch = drawn(BASE.replace(views=views, training__batch=4), kind)
    np.testing.assert_allclose(batch.C, 2 * batch.A, rtol=1e-12, atol=1e-14)  # rounding of 4 products


@pytest.mark.parametrize("keep", [0, 10, 300])
def test_views_in_pairs_that_are_torn_are_one_sentence(keep: int, tmp_path: Path) -> None:
    x = np.random.default_rng(0).standard_normal((20, 3))
    np.savez(tmp_path / "pairs.npz", x=x, x_plus=x)
    (tmp_path / "pairs.npz").write_bytes((tmp_path / "pairs.npz").read_bytes()[:keep])
    views = ImageViews(data=str(tmp_path / "pairs.npz"), augment="pairs", d=0)
    with pytest.raises(SettingError, match=r"pairs\.npz: cannot read arrays x and x_plus"):
        drawn(BASE.replace(views=views), "numpy")


@pytest.mark.parametrize("batch", [2, 30])
def test_a_devices_images_do_not_depend_on_what_runs_beside_them(batch: int) -> None:
    setting = VARIANTS["images"].replace(training__batch=batch)
    many, few = (
        [
            torch.stack(M)
            for M in zip(*device_stream.DeviceImages(setting, r, torch.float64, "cpu").take(), strict=True)
            if M[0] is not None
        ]
        for r in (range(60, 200), range(126, 130))
    )
    for one, other in zip(many, few, strict=True):
        assert one.shape[:2] == (16, 140)  # steps of a block, and replicas 60 to 199
        np.testing.assert_allclose(one[:, 66:70], other, rtol=1e-12, atol=1e-14)  # products may round otherwise
        assert (one[:, :-1] - one[:, 1:]).abs().amax((0, 2, 3)).min() > 0.01  # every replica has its own


@pytest.mark.parametrize("batch", [2, 30])
@pytest.mark.parametrize("name", ["predictor", "images", "invariance"])
def test_how_a_stream_is_cut_does_not_change_it(name: str, batch: int) -> None:
    setting = VARIANTS[name].replace(training__batch=batch)
    whole, parts = stream(setting, 4).take(9), stream(setting, 4)
    for got, first, second in zip(whole, parts.take(2), parts.take(7), strict=True):
        if got is not None:
            np.testing.assert_allclose(np.concatenate([first, second]), got, rtol=1e-12, atol=1e-13)  # products round
    other = stream(setting, 5).take(9)[0]
    assert np.abs(other - whole[0]).max() > 0.01  # another replica, other noise


@pytest.mark.parametrize("batch", [2, 30])
def test_how_many_teams_are_drawn_together_does_not_change_a_stream(
    batch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = []
    for room in (1, 2**28):  # one team at a time, or all
        monkeypatch.setattr(device_stream, "DRAWN", room)
        source = device_stream.DeviceGaussians(
            BASE.replace(training__batch=batch), range(60, 200), torch.float64, "cpu"
        )
        assert source.together == (1 if room == 1 else 2**28 // (64 * 16 * 6 * min(batch, 3) * 8))
        drawn.append([torch.stack(M) for M in zip(*source.take(), strict=True) if M[0] is not None])
    for one, other in zip(*drawn, strict=True):
        assert one.shape[:2] == (16, 140)  # steps of a block, and replicas 60 to 199
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-14)  # products may round otherwise
        assert (one[:, :-1] - one[:, 1:]).abs().amax((0, 2, 3)).min() > 0.01  # every replica has its own


@pytest.mark.parametrize("views", ["predictor", "images"])
@pytest.mark.parametrize("batch", [2, 30])
@pytest.mark.parametrize("cuts", [(40,), (3, 37), (16, 16, 8), (1, 30, 9)])
def test_a_march_takes_the_minibatches_of_its_stream_in_order(cuts: tuple[int, ...], batch: int, views: str) -> None:
    setting = VARIANTS[views].replace(training__batch=batch)
    parts, rates, first = first_lanes([setting], np.dtype("float64"))

    def start() -> tuple[Batched, device_stream.DeviceStream]:
        weights = Weights(*(torch.from_numpy(M).expand(3, *M.shape).clone() for M in first))
        return Batched(parts, rates, weights), device_stream.device_stream(setting, range(3), torch.float64, "cpu")

    lanes, source = start()
    march = DeviceMarch(lanes, source).march
    for steps in cuts:
        march(steps)
    plain, source = start()
    for step in range(40):
        if step % device_stream.DEVICE_STEPS == 0:
            block = source.take()
        plain.step(next(block))
    assert torch.equal(lanes.W, plain.W) and torch.equal(lanes.P, plain.P)
