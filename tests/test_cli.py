"""The command line as a program: help, version, what may stand before the verb, pipes, disks and memories that are full."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from cli_cases import DONE, ONE, VERBS, Cli, Said, one_sentence

from derivations.registry import CLAIMS
from noncollapse import cli


def test_a_closed_pipe_is_no_error(say: Cli, results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def closed(*_: object, **__: object) -> None:
        raise BrokenPipeError(32, "Broken pipe")

    monkeypatch.setattr("noncollapse.text.rows", closed)
    assert say("list", "--results", results) == Said(0, "", "")


@pytest.mark.parametrize("verb", VERBS)
def test_help_of_each_verb_shows_examples(verb: str, say: Cli) -> None:
    said = say(verb, "--help")
    assert (said.code, said.err) == (0, "")
    assert "examples:" in said.out
    examples = [line.strip() for line in said.out.splitlines() if line.startswith("  noncollapse ")]
    assert examples
    for line in examples:
        words = shlex.split(line)
        args = cli.parser(words[1:]).parse_args(words[1:])
        assert args.verb == verb
        assert {getattr(args, "id", None), *getattr(args, "ids", [])} <= {None, *CLAIMS}
    assert "exit codes" in said.out


def test_help_lists_the_verbs(say: Cli) -> None:
    said = say("--help")
    assert said.code == 0
    assert all(verb in said.out for verb in VERBS)


def shell(*words: str | Path, **changes: str) -> list[str]:
    return ["bash", "-c", shlex.join([sys.executable, "-m", "noncollapse", *map(str, words)]) + changes.pop("then", "")]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
@pytest.mark.parametrize("as_json", [(), ("--json",)])
@pytest.mark.parametrize("verb", [("list",), ("show", ONE)])
def test_a_full_disk_is_one_sentence(verb: tuple[str, ...], as_json: tuple[str, ...]) -> None:
    """Short output fails only when it is flushed, long output while it is printed."""
    done = subprocess.run(shell(*verb, *as_json, then=" > /dev/full"), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (2, "noncollapse: [Errno 28] No space left on device\n")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
@pytest.mark.parametrize("words", [("--version",), ("--help",), ("list", "--help")])
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_full_disk_is_one_sentence_before_any_verb(words: tuple[str, ...], unbuffered: str) -> None:
    done = subprocess.run(
        shell(*words, then=" > /dev/full"),
        env=os.environ | {"PYTHONUNBUFFERED": unbuffered},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (2, "noncollapse: [Errno 28] No space left on device\n")


@pytest.mark.parametrize(
    ("words", "code", "err"),
    [
        (("list",), 0, ""),
        (("show", "nope", "--json"), 2, "noncollapse: unknown claim 'nope': see `noncollapse list`\n"),
        (("verify", ONE, "-j", "1"), 0, ""),
    ],
)
def test_a_closed_stdout_is_no_error(words: tuple[str, ...], code: int, err: str, results: Path) -> None:
    command = shell(*words, "--results", results, then=" >&-")
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (code, err)


@pytest.mark.parametrize("words", [("report",), ("show", ONE), ("list",)])
def test_files_are_utf_8_whatever_the_locale(words: tuple[str, ...], results: Path, tmp_path: Path) -> None:
    bare = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "XDG_CACHE_HOME": str(tmp_path / "cache")}
    command = shell(*words, "--results", results)
    done = subprocess.run(command, env=os.environ | bare, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_closed_pipe_says_nothing_at_its_end() -> None:
    done = subprocess.run(
        shell("list", "--json", then=" | head -c 1; exit ${PIPESTATUS[0]}"), capture_output=True, text=True
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "[", "")


def test_a_terminal_without_unicode_is_no_error(results: Path) -> None:
    words = [sys.executable, "-m", "noncollapse", "show", "byol-fixed-point", "--results", str(results)]
    done = subprocess.run(
        words, capture_output=True, text=True, env=os.environ | {"PYTHONIOENCODING": "ascii"}, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "\\u" in done.stdout


def test_the_version_is_that_of_the_package(say: Cli) -> None:
    metadata = tomllib.loads((Path(cli.__file__).parent.parent / "pyproject.toml").read_text())
    assert say("--version") == Said(0, metadata["project"]["version"] + "\n", "")


@pytest.mark.parametrize("before", [0, 1, 3])
def test_what_every_verb_takes_may_stand_before_it(before: int, say: Cli, results: Path) -> None:
    common = ["--json", "--results", results]
    rows = json.loads(say(*common[:before], "list", *common[before:]).out)
    assert {r["id"] for r in rows if r["verdict"] != "open"} == set(DONE)


def test_a_folder_named_as_a_verb_is_no_verb(say: Cli, results: Path) -> None:
    assert cli.parser(["--results", "train", "list"]).parse_args(["--results", "train", "list"]).verb == "list"
    one_sentence(say("--results", results), "VERB")
    one_sentence(say("--res", results, "list"), "VERB")


@pytest.mark.parametrize(
    "error", [MemoryError("Unable to allocate 9 GiB"), RuntimeError("CUDA out of memory. Tried 9 GiB")]
)
def test_a_full_memory_is_one_sentence(error: Exception, say: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise error

    monkeypatch.setattr("noncollapse.text.rows", full)
    one_sentence(say("list"), "memory is too small", "9 GiB", "smaller")
    error.args = ("shapes differ",)
    if isinstance(error, RuntimeError):  # a fault of the code keeps its traceback
        with pytest.raises(RuntimeError, match="shapes differ"):
            cli.main(["list"])
