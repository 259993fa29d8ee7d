"""What is left of a training run, damaged: refused in one sentence, never read as other numbers."""

from __future__ import annotations

import copy
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch

from full_models.training import Recipe, RecipeError, checkpoint, train
from noncollapse import cli, training
from noncollapse.errors import RecordError

SMALL = Recipe("simclr", encoder="linear", width=8, dim=4, count=64, batch=32, epochs=2, records=2)


class Stop(Exception):
    """In the middle of a run."""


def stopped(folder: Path) -> Path:
    """The checkpoint of a run of four steps after its second."""

    def stop(done: int, _: int) -> None:
        if done == 2:
            raise Stop

    with pytest.raises(Stop):
        train(SMALL, folder, on_step=stop, checkpoint_seconds=0.0)
    return folder / "checkpoint.pt"


def largest_part(path: Path) -> int:
    """Where the bytes of the archive's largest member, the encoder's weights, begin; its header is shorter than 512 bytes."""
    with zipfile.ZipFile(path) as archive:
        return max(archive.infolist(), key=lambda member: member.file_size).header_offset + 512


def test_a_bit_that_flipped_in_a_checkpoint_is_not_trained_on(tmp_path: Path) -> None:
    path = stopped(tmp_path)
    content = bytearray(path.read_bytes())
    content[largest_part(path)] ^= 1
    path.write_bytes(content)
    with pytest.raises(RecipeError, match="is not a readable checkpoint: delete it and train again"):
        train(SMALL, tmp_path)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    results = tmp_path_factory.mktemp("results")
    words = ("--net", "linear", "--width", "8", "--count", "64", "--batch", "32", "--epochs", "1")
    assert cli.main(["train", "simclr", *words, "--results", str(results)]) == 0
    return next(results.glob("train/*"))


def damaged(record: dict[str, Any], place: tuple[str | int, ...], value: Any) -> dict[str, Any]:
    """With another value at a place; with none where it is ...."""
    made = copy.deepcopy(record)
    inner: Any = made
    for key in place[:-1]:
        inner = inner[key]
    if value is ...:
        del inner[place[-1]]
    else:
        inner[place[-1]] = value
    return made


@pytest.mark.parametrize("value", [..., None, [], {}, "x"], ids=["gone", "null", "list", "object", "word"])
@pytest.mark.parametrize(
    "place",
    [("recipe",), ("rows",), ("probes",), ("provenance",), ("steps",), ("images",), ("recipe", "batch"), ("rows", 0, "step"),
     ("rows", 1, "loss"), ("probes", "trained", "knn"), ("provenance", "seconds")],
    ids=lambda place: ".".join(map(str, place)),
)  # fmt: skip
def test_a_record_of_another_shape_is_refused(whole: Path, place: tuple[str | int, ...], value: Any) -> None:
    path = whole / "record.json"
    text = path.read_text()
    fine = place[-1] == "loss" and value is None  # what is not finite is null
    path.write_text(json.dumps(damaged(json.loads(text), place, value)))
    try:
        if fine:
            assert training.load(whole) is not None
        else:
            with pytest.raises(RecordError, match="give --restart to train anew"):
                training.load(whole)
    finally:
        path.write_text(text)


class Fails(io.FileIO):
    """A file that takes 10,000 bytes, then raises `error`."""

    error: BaseException

    def write(self, data: Any) -> int:
        if self.tell() > 10_000:
            raise self.error
        return super().write(data)


@pytest.mark.parametrize(
    "error", [OSError(28, "No space left on device"), KeyboardInterrupt()], ids=["disk", "interrupt"]
)
def test_a_checkpoint_that_cannot_be_written_leaves_the_one_before(
    error: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """torch meets it with a RuntimeError of its own, which is neither a full disk nor an interrupt to those above."""
    state = {"x": [torch.zeros(1000) for _ in range(10)]}
    checkpoint.write(tmp_path, state)
    before = (tmp_path / checkpoint.NAME).read_bytes()
    monkeypatch.setattr(Fails, "error", error, raising=False)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", lambda path, _: Fails(path, "w"))
        with pytest.raises(type(error)):
            checkpoint.write(tmp_path, state)
    assert [path.name for path in tmp_path.iterdir()] == [checkpoint.NAME]
    assert (tmp_path / checkpoint.NAME).read_bytes() == before
