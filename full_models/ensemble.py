"""Ensembles of linear networks under SGD: seeds x rates x widths, as fast as the products and the random numbers allow.

The same steps as `full_models.linear.sgd`, whose gradient is autograd's; here it is written by hand (`sgd_steps`), the
batches are shared by all that can share them (`batches`), and nothing is recorded but the state at the wanted times. The
ladder's sgd rung stays with autograd: this is for exploring what the ladder has checked.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from dynamics.run import Array, Run
from dynamics.setting import Setting, SettingError
from dynamics.start import start
from dynamics.views import moments
from full_models.batches import Batch, Shape, Stream, stream
from full_models.device import usable
from full_models.device_march import DeviceMarch
from full_models.device_stream import device_stream
from full_models.linear import NORM_LIMIT, check_linear, population_loss
from full_models.pairs import stream_numbers
from full_models.schedule import schedule
from full_models.sgd_steps import Batched, Parts, Rates, Weights, aligned_copy, compiled

BLOCK = 2**17  # numbers of a batch block (1 MB in float64): beyond, its arrays come as fresh pages from the system
ENGINES = ("compiled", "batched")
Streams = Callable[[Setting, int, Any], Stream]  # (setting, replica, dtype) -> its minibatches


def sgd_ensemble(
    settings: Sequence[Setting],
    replicas: int,
    *,
    seed0: int = 0,
    dtype: str = "float64",
    device: str = "cpu",
    engine: str | None = None,
    streams: Streams = stream,
    diverged: str = "raise",
) -> list[Run]:
    """One Run (source "sgd", R = replicas) a Setting, all from the same minibatches. Sampled.

    settings: equal in views, objective, batch and seed; they may differ in network (widths, starts) and in the rates of
    training. Those of one width and one number of steps march together. For several learning rates give each the horizon
    of as many steps: `[s.replace(training__lr=h, training__t_end=h * steps) for h in rates]`.
    Replica r sees the stream of number seed0 + r, whatever runs beside it; `streams` says who draws it. These are not the
    streams of `linear.sgd`. engine "compiled" (the default on the CPU) or "batched" (tensors on `device`, whose streams come
    from torch generators there: again others).
    obs (R, T, …): W, P, V, and loss, the population J, in float64. facts: lr, steps, seconds (of the whole group), engine,
    dtype. Raises SettingError for what makes no sense.
    diverged: "raise" a SettingError once all are done, or "drop" the Settings in which a replica left ‖·‖ <= 1e6.
    """
    engine = engine or ("compiled" if device == "cpu" else "batched")
    _check(settings, dtype, device, engine, diverged)
    numbers = stream_numbers(replicas, seed0)
    groups: dict[tuple[int, int, int], list[int]] = {}
    for i, s in enumerate(settings):
        times, steps, _ = schedule(s, None)
        groups.setdefault((s.network.k, len(times), steps), []).append(i)
    runs: dict[int, Run] = {}
    for indices in groups.values():
        lanes = [settings[i] for i in indices]
        begin = time.perf_counter()
        with _fits(device):
            if engine == "compiled":
                states = _compiled_group(lanes, numbers, np.dtype(dtype), streams)
            else:
                states = _batched_group(lanes, numbers, np.dtype(dtype), streams, device)
            facts = {"seconds": time.perf_counter() - begin, "engine": engine, "dtype": np.dtype(dtype).name}
            runs.update(zip(indices, (_run(s, l, states, facts, device) for l, s in enumerate(lanes)), strict=True))
    bad = [i for i, run in runs.items() if not _bounded(run)]
    if bad and diverged == "raise":
        raise SettingError(
            f"training diverged in {len(bad)} of {len(settings)} Settings, the first with lr = "
            f'{settings[bad[0]].training.lr:g}: give smaller rates, or diverged = "drop" to keep the others'
        )
    return [runs[i] for i in range(len(settings)) if i not in bad]


def _check(settings: Sequence[Setting], dtype: str, device: str, engine: str, diverged: str) -> None:
    if not isinstance(settings, Sequence):
        raise SettingError(f"settings is a {type(settings).__name__}: give a list of Settings")
    if not settings:
        raise SettingError("no Settings: give at least one")
    for i, s in enumerate(settings):
        if not isinstance(s, Setting):
            raise SettingError(f"settings[{i}] is {s!r}: give a list of Settings")
    for name, value, known in (
        ("dtype", dtype, ("float64", "float32")),
        ("engine", engine, ENGINES),
        ("diverged", diverged, ("raise", "drop")),
    ):
        if value not in known:
            raise SettingError(f"{name} {value!r} is not one of {', '.join(known)}")
    if device != "cpu" and engine == "compiled":
        raise SettingError('the compiled engine runs on the CPU: use engine = "batched"')
    usable(device)
    first = settings[0]
    for s in settings:
        check_linear(s)
        if s.objective.predictor == "optimal":
            raise SettingError("an optimal predictor takes no step: use full_models.linear.sgd")
        if (s.views, s.objective, s.training.batch, s.seed) != (
            first.views,
            first.objective,
            first.training.batch,
            first.seed,
        ):
            raise SettingError(
                "Settings that differ in views, objective, batch or seed share no batches: call once for each"
            )


def first_lanes(settings: Sequence[Setting], dtype: Any) -> tuple[Parts, Rates, Weights]:
    """(parts, rates (L,), weights (L, …)) as the engines take them: P = I where it is no parameter of the loss."""
    parts = Parts.of(settings[0])
    rows = []
    for s in settings:
        t = s.training
        rows.append((schedule(s, None)[2], t.eta, t.eta if t.eta_p is None else t.eta_p, t.alpha_p, t.beta))
    W, P, V = (np.stack(M).astype(dtype) for M in zip(*map(start, settings), strict=True))
    if settings[0].objective.loss == "invariance":
        P = np.broadcast_to(np.eye(P.shape[-1], dtype=dtype), P.shape).copy()
    return parts, Rates(*np.array(rows, dtype).T.copy()), Weights(W, P, V)


def _compiled_group(settings: Sequence[Setting], numbers: Sequence[int], dtype: Any, streams: Streams) -> list[Array]:
    """[W, P, V] (R, T, L, …): replica by replica, all steps, so that a block of its batches stays in the caches."""
    times, steps, _ = schedule(settings[0], None)
    parts, rates, first = first_lanes(settings, dtype)
    states = [np.empty((len(numbers), len(times), *M.shape), dtype) for M in first]
    for i, r in enumerate(numbers):
        source, state = streams(settings[0], r, dtype), Weights(*map(aligned_copy, first))
        for t in range(len(times)):
            for block in _blocks(steps, settings[0]) if t else ():
                compiled(parts, rates, state, _of_type(dtype, source.take(block)))
            for M, kept in zip(state, states, strict=True):
                kept[i, t] = M
    return states


def _blocks(steps: int, setting: Setting) -> Iterator[int]:
    shape = Shape.of(setting)
    most = max(1, BLOCK // (2 * shape.d * (2 * shape.rows if shape.by_moments else shape.n)))
    for done in range(0, steps, most):
        yield min(most, steps - done)


def _batched_group(
    settings: Sequence[Setting], numbers: range, dtype: Any, streams: Streams, device: str
) -> list[Array]:
    """[W, P, V] (R, T, L, …): all replicas and lanes by one step at a time."""
    times, steps, _ = schedule(settings[0], None)
    parts, rates, first = first_lanes(settings, dtype)
    W, P, V = (torch.from_numpy(M).to(device).expand(len(numbers), *M.shape).clone() for M in first)
    lanes = Batched(parts, rates, Weights(W, P, V))
    march = _march(lanes, settings[0], numbers, dtype, streams, device)
    rows = [[M.cpu().numpy().copy() for M in (W, P, V)]]
    for _ in times[1:]:
        march(steps)
        rows.append([M.cpu().numpy().copy() for M in (W, P, V)])
    return [np.stack(M, axis=1) for M in zip(*rows, strict=True)]


def _of_type(dtype: Any, batch: Batch) -> Batch:
    """The batch itself, unless `streams` that are not the house's drew it in another type."""
    for M in batch:
        if M is not None and M.dtype != dtype:
            raise SettingError(
                f"a stream gave {M.dtype} for dtype {dtype}: let it draw the type that it is called with"
            )
    return batch


@contextmanager
def _fits(device: str) -> Iterator[None]:
    try:
        yield
    except torch.cuda.OutOfMemoryError as error:
        raise SettingError(
            f"the memory of {device} is full: give fewer replicas a call (seed0 numbers the next ones) or dtype float32"
        ) from error


def _march(
    lanes: Batched, setting: Setting, numbers: range, dtype: Any, streams: Streams, device: str
) -> Callable[[int], None]:
    """A function that takes so many steps, on the device's own stream or on batches that `streams` draw."""
    if streams is stream:
        return DeviceMarch(lanes, device_stream(setting, numbers, getattr(torch, str(dtype)), device)).march
    sources = [streams(setting, r, dtype) for r in numbers]

    def march(steps: int) -> None:
        for _ in range(steps):
            drawn = [_of_type(dtype, source.take(1)) for source in sources]
            joined = (None if M[0] is None else np.concatenate(M) for M in zip(*drawn, strict=True))
            lanes.step(type(drawn[0])(*(None if M is None else torch.from_numpy(M).to(device) for M in joined)))

    return march


def _run(setting: Setting, lane: int, states: list[Array], facts: dict[str, Any], device: str) -> Run:
    times, steps, h = schedule(setting, None)
    W, P, V = (M[:, :, lane].astype(np.float64) for M in states)
    if setting.objective.target == "online":
        V = W
    if setting.objective.loss == "invariance":
        P = np.broadcast_to(start(setting)[1], P.shape)
    m = moments(setting)
    W_, P_, V_, A, B, C = (torch.from_numpy(np.array(M)).to(device) for M in (W, P, V, m.A, m.B, m.C))
    loss = population_loss(W_, P_, V_, A, B, C, setting.objective.loss).cpu().numpy()
    own = {"lr": h, "steps": steps * (len(times) - 1)}
    return Run(setting, "sgd", times, {"W": W, "P": P, "V": V, "loss": loss}, own | facts)


def _bounded(run: Run) -> bool:
    """Whether each ‖·‖ <= NORM_LIMIT. Entries first: squares of a run that diverged overflow. Written so that NaN fails too."""
    weights = [run[name] for name in "WPV"]
    if not all(np.abs(M).max() <= NORM_LIMIT for M in weights):
        return False
    return all(np.sqrt(np.square(M).sum((-2, -1)).max()) <= NORM_LIMIT for M in weights)
