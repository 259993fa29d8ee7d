"""Sweeps: one function over many items, by any `concurrent.futures.Executor`, each chunk recorded as it is done.

    work = partial(noncollapse.question.residual_of, "byol-survival", "flow")
    sweep(work, grid(setting, training__eta=[0, 0.1, 0.2]), folder, noncollapse.engine.processes(8))

The default engine is a pool of processes on this machine; another hands the same chunks to an existing cluster. This process
alone writes the records, from the results it receives: a worker that dies takes no more than the chunks it was at, and these
run again; a chunk has one record, whatever was tried; a sweep begun again runs what has none.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, Future
from contextlib import suppress
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, TypeVar

from tqdm import tqdm

from noncollapse.engine import Engine, blamed_for_workers, interrupts_held, processes
from noncollapse.errors import UsageError
from noncollapse.files import read_json, whole

if TYPE_CHECKING:
    from dynamics.setting import Setting

Item = TypeVar("Item")
PATIENCE = 3  # times in a row that workers may die without any chunk being finished


class SweepError(RuntimeError):
    """Some chunks have no result; the message says how many, why the first, and what to do. The others are recorded."""


def sweep(
    work: Callable[[Item], Any],
    items: Sequence[Item],
    folder: Path,
    engine: Engine | None = None,
    chunk: int | None = None,
    tag: str = "",
) -> list[Any]:
    """[work(item) for item in items], as plain JSON values, computed by the engine and recorded in `folder`.

    work: a module-level function or a `functools.partial` of one, that the workers can import; it returns plain finite
    numbers, text, lists and dicts (arrays become lists). items: plain JSON values, or objects with `to_dict` (Settings).
    chunk: items a task (None: 64 chunks, at most 100 items each): long enough to outweigh the milliseconds that a task costs
    (benchmarks/results/sweeps.md), short enough to be lost. A record is named by the hash of work, items and tag: give as `tag` what else the
    result depends on, such as a version; another chunk size makes other records.
    Raises SweepError where chunks failed, after all others are recorded; UsageError on arguments that mean nothing.
    """
    if chunk is None:
        chunk = max(1, min(100, math.ceil(len(items) / 64)))
    if chunk < 1:
        raise UsageError(f"chunk is {chunk}: give a whole number >= 1")
    chunks = [items[i : i + chunk] for i in range(0, len(items), chunk)]
    texts = [_text(list(part)) for part in chunks]
    paths = [folder / f"{_hash(_name(work), tag, text)}.json" for text in texts]
    found = [_read(path, text) for path, text in zip(paths, texts, strict=True)]
    missing = [i for i, results in enumerate(found) if results is None]
    errors: list[Exception] = []
    bar = tqdm(total=len(chunks), initial=len(chunks) - len(missing), desc="sweep", unit="chunk", file=sys.stderr,
               disable=None if os.environ.get("CI") is None else True)  # fmt: skip
    with bar:
        tasks = [(work, list(chunks[i])) for i in missing]
        for n, outcome in outcomes(_run_chunk, tasks, engine or processes()):
            bar.update()
            if isinstance(outcome, Exception):
                errors.append(outcome)
                continue
            i = missing[n]
            try:
                found[i] = _write(paths[i], texts[i], outcome)
            except (TypeError, ValueError) as error:
                errors.append(
                    UsageError(f"a result is no plain finite value ({error}): return numbers, lists or dicts")
                )
    if errors:
        raise SweepError(
            f"{len(errors)} of {len(chunks)} chunks failed, the first with {type(errors[0]).__name__}: {errors[0]}; "
            "the others are recorded: mend the cause and run the same sweep again"
        )
    return [result for results in found for result in results or []]


def outcomes(
    work: Callable[..., Any], tasks: Sequence[Sequence[Any]], engine: Engine
) -> Iterator[tuple[int, Any | Exception]]:
    """(index, work(*tasks[index]) or the exception it raised) of every task, once each, as they come.

    Tasks that were lost with a broken pool are given to a new one; tasks that may have been blamed for a neighbour run once
    more, each alone. Raises SweepError if PATIENCE times in a row workers die without a result. On an interrupt the engine is
    closed, which drops what is queued.
    """
    waiting, suspects, fruitless = set(range(len(tasks))), set[int](), 0
    while waiting:
        before = len(waiting), len(suspects)
        batch = sorted(waiting - suspects) or [min(waiting)]
        with engine() as executor:
            futures: dict[Future[Any], int] = {}
            # not as_completed: it takes locks of Python's, and one that an interrupt leaves taken stops the pool for good
            done: SimpleQueue[Future[Any]] = SimpleQueue()
            with suppress(BrokenExecutor):  # a worker died already: what was submitted fails below, what was not waits
                for i in batch:
                    with interrupts_held():
                        future = executor.submit(work, *tasks[i])
                        future.add_done_callback(done.put)
                    futures[future] = i
            for _ in range(len(futures)):
                future = done.get()
                if _lost(future):
                    continue
                i, error = futures[future], future.exception()
                if len(batch) > 1 and blamed_for_workers(error):
                    suspects.add(i)
                    continue
                waiting.discard(i)
                yield i, error or future.result()
        fruitless = fruitless + 1 if (len(waiting), len(suspects)) == before else 0
        if fruitless == PATIENCE:
            raise SweepError(
                f"workers died {PATIENCE} times without finishing one of the {len(waiting)} tasks left (out of memory?): "
                "what is done is recorded; run again with fewer workers or smaller chunks"
            )


def _lost(future: Future[Any]) -> bool:
    """True if the task has no outcome of its own: its pool broke, or its cluster let it go."""
    return future.cancelled() or isinstance(future.exception(), BrokenExecutor)


def grid(setting: Setting, **axes: Sequence[Any]) -> list[Setting]:
    """The Setting at every combination of values; names as for `Setting.replace`, the last varies fastest."""
    return [setting.replace(**dict(zip(axes, values, strict=True))) for values in itertools.product(*axes.values())]


def _run_chunk(work: Callable[[Any], Any], items: Sequence[Any]) -> list[Any]:
    return [work(item) for item in items]


def _name(work: Callable[..., Any]) -> str:
    """The same in every process and on every machine, and another for other arguments of a partial."""
    if isinstance(work, partial):
        return f"{_name(work.func)}({_text([work.args, work.keywords])})"
    name = getattr(work, "__qualname__", "")
    if not name or "<" in name:  # <lambda>, <locals>
        raise UsageError(f"{work!r} cannot be sent to a worker: give a module-level function or a partial of one")
    return f"{work.__module__}.{name}"


def _hash(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:20]


def _plain(value: Any) -> Any:
    for convert in ("to_dict", "tolist"):
        if hasattr(value, convert):
            return getattr(value, convert)()
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    raise TypeError(f"{type(value).__name__} is no JSON value")


def _text(value: Any) -> str:
    try:
        return json.dumps(value, default=_plain, sort_keys=True, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise UsageError(f"an item cannot be written down ({error}): give plain values or Settings") from None


def _read(path: Path, items: str) -> list[Any] | None:
    """The results of a record; None if there is none, or none of these items that can be read."""
    try:
        record = read_json(path)
        results = record["results"]
        return results if record["items"] == json.loads(items) and len(results) == len(record["items"]) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _write(path: Path, items: str, results: list[Any]) -> list[Any]:
    """The record, whole or not at all; returns the results as they will be read."""
    text = json.dumps({"items": json.loads(items), "results": results}, default=_plain, allow_nan=False)
    with whole(path) as part:
        part.write_text(text + "\n", encoding="utf-8")
    return json.loads(text)["results"]
