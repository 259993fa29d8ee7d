"""Engines: what hands out an executor, closes it, and on an interrupt leaves no worker behind."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from multiprocessing import resource_tracker
from typing import Any
from urllib.parse import urlsplit

from dynamics.machine import cores
from noncollapse.errors import UsageError

Engine = Callable[[], AbstractContextManager[Executor]]
MOST = 10_000  # processes that an engine may be asked for by name: more is a slip of the finger
WATCH = 1.0  # seconds between a worker's looks at its parent
BOTH = frozenset({signal.SIGINT, signal.SIGTERM})
# of dask's own workers: errors of tasks come back with them; a connection that closes in the middle of a heartbeat, as when all is
# done, would be told with a traceback
QUIET = logging.CRITICAL
KNOCK = 10.0  # seconds for a scheduler's machine to answer; where it says no it does so at once


def processes(jobs: int | None = None, method: str = "spawn") -> Engine:
    """A pool of `jobs` processes (None: one a core) on this machine. method "fork" starts faster, where no thread runs.

    Submit to it where `interrupts_held`: workers are then deaf to interrupts from their first instruction on, and to SIGTERM,
    to which a fork would give its parent's answer, until they have set their own."""
    if jobs is not None and jobs < 1:
        raise UsageError(f"jobs is {jobs}: give a whole number >= 1")

    @contextmanager
    def pool() -> Iterator[Executor]:
        others = set(multiprocessing.active_children())
        context = multiprocessing.get_context(method)
        executor = ProcessPoolExecutor(
            jobs or cores(), mp_context=context, initializer=_start_worker, initargs=(os.getpid(),)
        )
        try:
            yield executor
        except BaseException:  # interrupted: what is running is dropped, what is recorded stays
            for child in set(multiprocessing.active_children()) - others:
                child.terminate()
            # waits for its thread, which ends with the workers: at Python's own end the two may use a closed pipe
            executor.shutdown(cancel_futures=True)
            raise
        executor.shutdown()

    return pool


@contextmanager
def interrupts_held(masked: frozenset[signal.Signals] = BOTH) -> Iterator[None]:
    """An interrupt or SIGTERM waits for the end of the block; processes and threads that it starts are deaf to the `masked`
    signals.

    Else a worker that still imports answers with a traceback, and between a fork and its end Python may drop it. A mask is not
    enough: another thread without one takes the signal, and Python's main thread then answers it in the midst of the block.
    """
    resource_tracker.ensure_running()  # else the first process does so, and takes the mask away
    met: list[int] = []
    ours = threading.current_thread() is threading.main_thread()  # no other may set a handler
    answers = {number: answer for number in BOTH if ours and callable(answer := signal.getsignal(number))}
    for number in answers:
        signal.signal(number, lambda number, _: met.append(number))
    before = signal.pthread_sigmask(signal.SIG_BLOCK, masked)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        for number, answer in answers.items():
            signal.signal(number, answer)
        if met:
            signal.raise_signal(met[0])


def dask(address: Any = None) -> Engine:
    """The workers of a dask cluster: its scheduler's address, a cluster object, or None for one on this machine.

    dask itself gives the tasks of a lost worker to others. Raises UsageError where dask is not installed or not reached.
    """

    @contextmanager
    def cluster() -> Iterator[Executor]:
        try:
            from distributed import Client  # pyright: ignore[reportMissingImports]
        except ImportError:
            raise UsageError('dask is not installed: pip install "noncollapse[dask]"') from None
        try:
            if isinstance(address, str):
                _knock(address)
            # dask's own workers end by SIGTERM, and would answer an interrupt with tracebacks
            with nullcontext() if address else interrupts_held(frozenset({signal.SIGINT})):
                client = Client(address) if address else Client(silence_logs=QUIET)
        except (OSError, ValueError) as error:  # ValueError: an address that is none
            raise UsageError(f"no dask scheduler at {address} ({error}): give the address that it prints") from None
        with client:
            # pure = False: dask would otherwise run equal calls once, by a hash of their arguments
            executor = client.get_executor(pure=False)
            try:
                yield executor
            except BaseException:  # interrupted: as for processes
                executor.shutdown(wait=False)
                raise
            executor.shutdown()

    return cluster


def blamed_for_workers(error: BaseException | None) -> bool:
    """True where dask gave a task up because workers died. It counts their deaths against every task that they held, the one
    they were at and those that only waited there: whose fault it is shows when each runs alone."""
    scheduler = sys.modules.get("distributed.scheduler")  # not loaded: no error of dask's
    return scheduler is not None and isinstance(error, scheduler.KilledWorker)


def _knock(address: str) -> None:
    """Raises OSError where nothing listens at a TCP address: dask itself asks again for half a minute."""
    parts = urlsplit(address if "://" in address else f"tcp://{address}")
    if parts.scheme in ("tcp", "tls") and parts.port:
        socket.create_connection((parts.hostname, parts.port), KNOCK).close()


def engine_named(name: str) -> Engine:
    """ "processes", "processes:8", "dask" (workers on this machine) or "dask:tcp://host:8786". Raises UsageError."""
    kind, _, detail = name.partition(":")
    if kind == "processes" and (not detail or detail.isdecimal()):
        if len(detail) > len(str(MOST)) or (detail and int(detail) > MOST):
            raise UsageError(f"engine {name[:40]!r}: give at most {MOST} processes")
        return processes(int(detail) if detail else None)
    if kind == "dask":
        return dask(detail or None)
    raise UsageError(f'engine {name!r} is not known: use "processes", "processes:8", "dask" or "dask:ADDRESS"')


def _start_worker(parent: int) -> None:
    """Interrupts are the parent's to answer, SIGTERM ends a worker on the spot, and so does the end of the parent, which a
    kill leaves no time to say."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # a fork would inherit the parent's handler
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(WATCH)
    os._exit(1)
