"""One thread a process (see noncollapse/__init__), hypothesis without deadlines: the machine is shared. Fixtures of the
command line's tests.
"""

import shutil
from functools import partial
from pathlib import Path

import pytest
from cli_cases import DONE, Cli, Said
from hypothesis import HealthCheck, settings

from noncollapse import cli, ledger  # noncollapse sets the thread counts before numpy and torch load

settings.register_profile("default", deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
settings.load_profile("default")


@pytest.fixture(scope="session")
def computed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The records of the claims in DONE, made once for all tests; they change copies only."""
    results = tmp_path_factory.mktemp("computed")
    assert cli.main(["verify", *DONE, "--results", str(results), "-j", "1"]) == 0
    return results


@pytest.fixture
def results(computed: Path, tmp_path: Path) -> Path:
    """A copy of the computed records, times kept, for a test to change."""
    return Path(shutil.copytree(computed, tmp_path / "results"))


@pytest.fixture
def ledger_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A ledger of the test's own: the committed one is neither read nor written."""
    path = tmp_path / "ledger" / "ledger.json"
    monkeypatch.setattr(ledger, "read_ledger", partial(ledger.read_ledger, path=path))
    monkeypatch.setattr(ledger, "publish", partial(ledger.publish, path=path))
    return path


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str], ledger_path: Path) -> Cli:
    """Run the command line in this process, with a ledger of the test's own."""

    def run(*args: str | Path) -> Said:
        capsys.readouterr()
        try:
            code = cli.main([str(a) for a in args])
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else 0
        return Said(code, *capsys.readouterr())

    return run
