"""Sweeps through dask: a cluster on this machine does what the process pool does; what is not there is named."""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sweep_cases import ITEMS, SQUARES, asked, recorded, square, square_or_die

from noncollapse.engine import dask, engine_named
from noncollapse.errors import UsageError
from noncollapse.sweep import SweepError, sweep


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    distributed = pytest.importorskip("distributed", reason="dask is the optional extra: pip install noncollapse[dask]")
    import dask as dask_

    with (
        dask_.config.set({"distributed.logging.distributed": "critical"}),
        distributed.LocalCluster(n_workers=3, threads_per_worker=1, dashboard_address=None) as local,
    ):
        yield local


def test_a_dask_worker_killed_mid_sweep_loses_nothing_and_counts_nothing_twice(cluster: Any, tmp_path: Path) -> None:
    log, folder = tmp_path / "log", tmp_path / "records"
    work = partial(square_or_die, deadly=13, log=log)
    assert sweep(work, ITEMS, folder, dask(cluster.scheduler_address), chunk=2) == SQUARES
    assert recorded(folder) == ITEMS
    assert asked(log)["13"] == 2  # the worker did die at it, and another ran it again
    assert sweep(work, ITEMS, folder, dask(cluster.scheduler_address), chunk=2) == SQUARES
    assert asked(log)["13"] == 2  # all is recorded: nothing runs


def test_a_dask_task_that_kills_every_worker_fails_alone(cluster: Any, tmp_path: Path) -> None:
    log, folder = tmp_path / "log", tmp_path / "records"
    work = partial(square_or_die, deadly=39, log=log, times=10**6)
    with pytest.raises(SweepError, match="1 of 20 chunks failed, the first with KilledWorker"):
        sweep(work, ITEMS, folder, dask(cluster.scheduler_address), chunk=2)
    assert recorded(folder) == ITEMS[:-2]


def square_or_die_late(x: int) -> int:
    """square, but 0 kills its worker once the next tasks are there too."""
    if x == 0:
        time.sleep(0.5)  # seconds: tasks are handed out in milliseconds
        os.kill(os.getpid(), signal.SIGKILL)
    return x * x


def test_a_dask_task_is_not_blamed_for_its_neighbour(tmp_path: Path) -> None:
    """A worker of one thread holds two tasks, and dask, which forgives no death here, gives both up when one kills it."""
    distributed = pytest.importorskip("distributed", reason="dask is the optional extra: pip install noncollapse[dask]")
    import dask as dask_

    with (
        dask_.config.set({"distributed.scheduler.allowed-failures": 0, "distributed.logging.distributed": "critical"}),
        distributed.LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None) as one,
        pytest.raises(SweepError, match="1 of 20 chunks failed, the first with KilledWorker"),
    ):
        sweep(square_or_die_late, ITEMS, tmp_path, dask(one.scheduler_address), chunk=2)
    assert recorded(tmp_path) == ITEMS[2:]


def grumble(item: int) -> int:
    logging.getLogger("distributed.worker").error("a heartbeat met a connection that was closed")
    return item


def test_dasks_own_workers_keep_their_connections_to_themselves(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("distributed", reason="dask is the optional extra: pip install noncollapse[dask]")
    assert sweep(grumble, ITEMS, tmp_path, dask(), chunk=2) == list(ITEMS)
    assert "heartbeat" not in capfd.readouterr().err  # of the workers too: they write to the same file


def test_an_interrupt_does_not_wait_for_what_dask_is_at(cluster: Any) -> None:
    def interrupted() -> None:
        with dask(cluster.scheduler_address)() as executor:
            executor.submit(time.sleep, 60)
            raise KeyboardInterrupt

    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert time.monotonic() - began < 30  # half of what the task takes


def test_dask_that_is_missing_or_not_there_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "distributed", None)
    with pytest.raises(UsageError, match=r'dask is not installed: pip install "noncollapse\[dask\]"'):
        sweep(square, [1], tmp_path, engine_named("dask"))


@pytest.mark.parametrize("error", [ValueError("missing port number in address 'foo'"), OSError("timed out")])
def test_a_dask_address_that_is_none_is_named(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def client(_: str) -> None:
        raise error

    monkeypatch.setitem(sys.modules, "distributed", SimpleNamespace(Client=client))
    says = rf"no dask scheduler at foo \({error}\): give the address that it prints"
    with pytest.raises(UsageError, match=says), engine_named("dask:foo")():
        pass


@pytest.mark.parametrize("scheme", ["", "tcp://", "tls://"])
def test_a_port_at_which_nothing_listens_is_named_at_once(scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """dask is never asked: it would ask again for half a minute."""
    monkeypatch.setitem(sys.modules, "distributed", SimpleNamespace(Client=lambda _: pytest.fail("dask was asked")))
    with socket.socket() as bound:  # to a port that is free, and kept from others; it does not listen
        bound.bind(("127.0.0.1", 0))
        address = f"{scheme}127.0.0.1:{bound.getsockname()[1]}"
        with pytest.raises(UsageError, match=f"no dask scheduler at {address} .*refused"), dask(address)():
            pass


def test_a_scheduler_that_is_slow_to_greet_is_dask_s_to_wait_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """What listens is handed over to dask, whether it has said a word or not."""
    asked: list[str] = []

    def client(address: str) -> None:
        asked.append(address)
        raise OSError("timed out after 30 s")

    monkeypatch.setitem(sys.modules, "distributed", SimpleNamespace(Client=client))
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"tcp://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(UsageError, match="timed out after 30 s"), dask(address)():
            pass
    assert asked == [address]
