"""SIGTERM, SIGKILL and Ctrl-C: one sentence, a documented exit code, and no worker left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from noncollapse import cli
from noncollapse.engine import BOTH, WATCH, interrupts_held

ROOT = Path(__file__).resolve().parent.parent
# a minute of descents, so that workers are at work when it is killed
SWEEP = (
    "sweep",
    "byol-three-conditions",
    "--over",
    "training.eta=0:0.31:200",
    "--rung",
    "descent",
    "--engine",
    "processes:2",
)
DASK = (*SWEEP[:-1], "dask")  # workers of a dask cluster on this machine


@pytest.fixture(autouse=True)
def hearing() -> Iterator[None]:
    """A shell that starts a job in the background makes it, and so its children, deaf to interrupts."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def alive(pid: int) -> bool:
    """True unless the process is gone, or a zombie that nobody has waited for yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def workers(pid: int) -> list[int]:
    """The worker processes that `pid` has started: all its children but the one that keeps count of semaphores."""
    children = [int(c) for file in Path(f"/proc/{pid}/task").glob("*/children") for c in file.read_text().split()]
    return [c for c in children if "resource_tracker" not in Path(f"/proc/{c}/cmdline").read_text()]


def until(condition, seconds: float) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.01)
    return False


def started(words: tuple[str, ...], results: Path) -> subprocess.Popen[str]:
    """The command, leader of a process group of its own, as a shell starts it."""
    command = [sys.executable, "-m", "noncollapse", *words, "--results", str(results)]
    return subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True
    )


NEEDS_PROC = pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="reads /proc, which only Linux has")


@NEEDS_PROC
@pytest.mark.parametrize(
    ("words", "later"),
    [
        (SWEEP, 0.0),
        (SWEEP, 0.1),
        (SWEEP, 0.3),
        (SWEEP, 0.6),
        (("verify", "-j", "2"), 0.0),
        (("verify", "-j", "2"), 0.3),
        (DASK, 0.0),
        (DASK, 3.0),
    ],
)
def test_an_interrupt_while_workers_start_is_one_sentence(words: tuple[str, ...], later: float, tmp_path: Path) -> None:
    """Ctrl-C goes to every process of the group; `later`: seconds after there is a worker, which imports for one."""
    if words is DASK:
        pytest.importorskip("distributed", reason="dask is the optional extra: pip install noncollapse[dask]")
    process = started(words, tmp_path)
    assert until(lambda: process.poll() is None and workers(process.pid), 30), "a worker starts"
    time.sleep(later)
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert err.strip().splitlines()[-1].startswith("noncollapse: interrupted: what was computed is kept")
    assert "Traceback" not in err, err


@pytest.mark.parametrize("masked", [frozenset({signal.SIGINT}), BOTH])
@pytest.mark.parametrize("sent", sorted(BOTH))
def test_an_interrupt_waits_though_another_thread_takes_it(sent: signal.Signals, masked: frozenset) -> None:
    """Python answers in its main thread whatever thread took the signal, unless the handler itself waits."""
    met, over = [], threading.Event()
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)  # raises, as the command line's own does

    def held() -> None:
        with interrupts_held(masked):
            os.kill(os.getpid(), sent)
            time.sleep(0.1)
            met.append("the end of the block")

    other = threading.Thread(target=over.wait)  # no mask
    other.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            held()
    finally:
        over.set()
        other.join()
        after = signal.signal(signal.SIGTERM, before)
    assert met
    assert signal.getsignal(signal.SIGINT) is after is signal.default_int_handler


def installed_command() -> str:
    """What the script `noncollapse` that an installation makes does."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    module, name = project["scripts"]["noncollapse"].split(":")
    return f"import sys; from {module} import {name}; sys.exit({name}())"


@pytest.mark.parametrize("start", [("-m", "noncollapse"), ("-c", installed_command())], ids=["module", "script"])
def test_an_interrupt_while_the_command_line_is_imported_is_one_sentence(start: tuple[str, str]) -> None:
    command = [sys.executable, "-X", "importtime", *start, "list", "--json"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout and process.stderr
    assert any("argparse" in line for line in process.stderr), "one of the first imports, some 0.1 s before the last"
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    said = [line for line in err.splitlines() if not line.startswith("import time:")]
    assert said == ["noncollapse: interrupted: the same command starts anew"]
    assert out == '{"error": "interrupted: the same command starts anew"}\n'
    # 130 to a shell either way: where it met a dataclass's `exec`, Python ends itself by the signal
    assert process.returncode in (130, -signal.SIGINT)


@NEEDS_PROC
@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGKILL])
def test_a_killed_sweep_leaves_no_worker(sent: signal.Signals, tmp_path: Path) -> None:
    process = started(SWEEP, tmp_path)
    assert until(lambda: process.poll() is None and len(workers(process.pid)) == 2, 30), "two workers start"
    left = workers(process.pid)
    time.sleep(1.0)  # past the start of Python in a worker; before that it still imports, and ends with its pipe
    process.send_signal(sent)
    _, err = process.communicate(timeout=30)
    assert until(lambda: not any(alive(pid) for pid in left), 20 + WATCH), "they end by themselves"
    if sent == signal.SIGTERM:
        assert process.returncode == 143  # 128 + 15, as a shell counts it
        assert err.strip().splitlines()[-1].startswith("noncollapse: interrupted: what was computed is kept")
        assert "Traceback" not in err
    else:
        assert process.returncode == -signal.SIGKILL


def test_sigterm_is_handled_only_while_a_command_runs(monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr("noncollapse.text.rows", lambda *_: os.kill(os.getpid(), signal.SIGTERM))
    assert cli.main(["list"]) == 143
    assert signal.getsignal(signal.SIGTERM) == before
    assert capsys.readouterr().err == "noncollapse: interrupted: the same command starts anew\n"


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupt_that_a_finaliser_swallows_comes_again(
    sent: signal.Signals, code: int, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    class Swallows:
        def __del__(self) -> None:
            os.kill(os.getpid(), sent)

    def rows(*_: object) -> list:
        Swallows()
        time.sleep(30)
        return []

    monkeypatch.setattr("noncollapse.text.rows", rows)
    began, hook = time.monotonic(), sys.unraisablehook
    assert cli.main(["list"]) == code
    assert time.monotonic() - began < 15  # half of what it would sleep
    assert capsys.readouterr().err == "noncollapse: interrupted: the same command starts anew\n"
    assert sys.unraisablehook is hook


KEPT, ANEW = "what was computed is kept, the same command goes on from there", "the same command starts anew"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("verify",), KEPT),
        (("verify", "--force"), ANEW),
        (("verify", "--rung", "flow"), ANEW),
        (("verify", "invariance-flow", "--setting", "{}"), ANEW),
        (("sweep", "invariance-flow", "--over", "seed=0,1"), KEPT),
        (("train", "simclr"), KEPT),
        (("train", "simclr", "--restart"), ANEW),
        (("phase",), ANEW),  # written once, at its end
        (("report",), ANEW),
    ],
)
def test_an_interrupt_says_what_is_kept(
    words: tuple[str, ...], says: str, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    def stop(_: object) -> int:
        raise KeyboardInterrupt

    module = cli.VERBS[words[0]][0]
    monkeypatch.setattr(f"noncollapse.verbs.{module}.run", stop)
    assert cli.main(list(words)) == 130
    assert capsys.readouterr().err == f"noncollapse: interrupted: {says}\n"
