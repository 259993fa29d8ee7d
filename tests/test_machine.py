"""Cores and memory as a container or a scheduler grants them, on machines made of a few files."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from dynamics import machine
from dynamics.setting import GaussianViews, Network, Setting, Training
from dynamics.simulate import exact, flow
from dynamics.start import start
from dynamics.views import moments
from full_models.linear import sgd
from noncollapse import cli

GIB = 2**30
V2 = "0::/system.slice/job\n"
V1 = "4:memory:/docker/ab\n3:cpu,cpuacct:/docker/ab\n0::/\n"
V1_CPU = {"cpu/docker/ab/cpu.cfs_quota_us": "150000\n", "cpu/docker/ab/cpu.cfs_period_us": "100000\n"}
WHOLE = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


@pytest.fixture
def granted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """(cores, memory) of a machine of 64 cores whose files are these."""

    def granted(groups: str, files: dict[str, str]) -> tuple[int, int]:
        for name, text in {"proc/self/cgroup": groups, **{f"sys/fs/cgroup/{n}": x for n, x in files.items()}}.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text)
        monkeypatch.setattr(machine, "ROOT", tmp_path)
        monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)), raising=False)
        return machine.cores.__wrapped__(), machine.memory.__wrapped__()

    return granted


@pytest.mark.parametrize(
    ("groups", "files", "cores", "memory"),
    [
        ("", {}, 64, WHOLE),
        (V2, {"system.slice/job/memory.max": f"{GIB}\n", "system.slice/job/cpu.max": "400000 100000\n"}, 4, GIB),
        (V2, {"system.slice/job/memory.max": "max\n", "system.slice/job/cpu.max": "max 100000\n"}, 64, WHOLE),
        (
            V2,
            {"system.slice/memory.max": f"{GIB}\n", "system.slice/cpu.max": "50000 100000\n"},
            1,
            GIB,
        ),  # of a group above
        (
            "0::/\n",
            {"memory.max": f"{GIB}\n", "cpu.max": "250000 100000\n"},
            3,
            GIB,
        ),  # in a container: its own is the root
        (V1, {"memory/docker/ab/memory.limit_in_bytes": f"{GIB}\n", **V1_CPU}, 2, GIB),
        (V1, {"memory/memory.limit_in_bytes": f"{GIB}\n", "cpu/cpu.cfs_quota_us": "-1\n"}, 64, GIB),
        (V1, {"memory/docker/ab/memory.limit_in_bytes": "9223372036854771712\n"}, 64, WHOLE),  # version 1's "no limit"
        ("no such line\n", {}, 64, WHOLE),
    ],
)
def test_the_least_limit_counts(granted, groups: str, files: dict[str, str], cores: int, memory: int) -> None:
    assert granted(groups, files) == (cores, memory)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no masks of cores here")
def test_a_mask_of_cores_counts_for_the_default_of_j() -> None:
    code = "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}); from noncollapse import cli; "
    code += "print(*(cli.parser([v]).parse_args([v]).jobs for v in ('verify', 'phase')))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.split() == ["1", "1"]


def test_what_cannot_fit_is_said_before_it_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "memory", lambda: 10**6)
    wide, many = GaussianViews((1.0,) * 200, (0.5,) * 200), Setting(training=Training(points=10**5, t_end=0.1))
    says = r" needs .* GiB, and there are 0\.000931"
    start(many)
    for call, what in (
        (lambda: moments(Setting(views=wide)), "the moments of d = 200 inputs"),
        (lambda: start(Setting(network=Network(k=300))), "a start of k = 300 outputs"),
        (lambda: flow(many), "a Run of 100,000 times, 1 replicas"),
        (lambda: exact(many), "a Run of 100,000 times"),
        (lambda: sgd(many, 7), "a Run of 100,000 times, 7 replicas"),
    ):
        with pytest.raises(MemoryError, match=what + ".*" + says):
            call()


def test_the_command_line_says_so(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    huge = '{"network": {"k": 10000000}}'
    assert cli.main(["--results", str(tmp_path), "verify", "naive-collapse", "--setting", huge]) == 2
    assert "a Run of" in (said := capsys.readouterr().err) and "Traceback" not in said
