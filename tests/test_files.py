"""Files of records: read back to their end or refused, written whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from sweep_cases import forked, square

from figures import style
from figures.report import write_report
from noncollapse import diagram, records, training
from noncollapse.catalogue import catalogue
from noncollapse.drawing import _picture_is_fresh
from noncollapse.errors import RecordError
from noncollapse.files import holds_arrays, parsed, read_arrays, read_json, whole
from noncollapse.pictures import sources_hash
from noncollapse.sweep import sweep


@pytest.mark.parametrize("text", ["[" * 100_000, "9" * 5000, "{", ""], ids=["brackets", "digits", "torn", "empty"])
def test_what_python_cannot_parse_is_a_value_error(text: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"nested too deeply|limit|Expecting"):
        parsed(text)
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(ValueError, match=r"nested too deeply|limit|Expecting"):
        read_json(tmp_path / "a.json")


def archive(path: Path) -> bytes:
    np.savez_compressed(path, x=np.arange(1000.0))
    return path.read_bytes()


@pytest.mark.parametrize(
    "damage",
    [lambda b: b"", lambda b: b[:1000], lambda b: b[:200] + bytes(200) + b[400:], lambda b: b"\x93NUMPY", lambda b: b"{}"],
    ids=["empty", "truncated", "torn", "an array", "text"],
)  # fmt: skip
def test_arrays_are_read_to_their_end(damage: Callable[[bytes], bytes], tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    good = archive(path)
    assert holds_arrays(path)
    assert np.array_equal(read_arrays(path)["x"], np.arange(1000.0))
    path.write_bytes(damage(good))
    assert not holds_arrays(path)
    with pytest.raises(ValueError, match=r"is no whole \.npz"):
        read_arrays(path)
    assert not holds_arrays(tmp_path / "absent.npz")


def test_a_single_array_is_no_archive(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros(3))
    (tmp_path / "a.npy").rename(tmp_path / "a.npz")
    assert not holds_arrays(tmp_path / "a.npz")


def half(path: Path, error: type[BaseException]) -> None:
    with whole(path) as part:
        part.write_text("half")
        raise error


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "sub" / "a.json"
    with whole(path) as part:
        part.write_text("new")
    for error in (OSError, KeyboardInterrupt):
        with pytest.raises(error):
            half(path, error)
    assert path.read_text() == "new"
    assert list(path.parent.iterdir()) == [path]


DISK_IS_FULL = OSError(28, "No space left on device")


def write_sweep(place: Path) -> None:
    sweep(square, [1, 2], place, forked(1), chunk=2)


def write_catalogue(place: Path) -> None:
    assert catalogue()
    raise DISK_IS_FULL  # which costs it no more than time


WRITERS: dict[str, Callable[[Path], object]] = {
    "record": lambda place: records.write_json(place / "record.json", {}),
    "trace": lambda place: records.write_arrays(place / "trace.npz", {"x": np.zeros(3)}),
    "sweep": write_sweep,
    "phase": lambda place: diagram.save(place, "a", diagram.Axis("eta", 0, 1), diagram.Axis("p0", 0, 1), {}, (2, 2), 1),
    "report": lambda place: write_report(place, [], {}, place / "report.html"),
    "catalogue": write_catalogue,
    "picture": lambda place: style.finish(Figure(), place / "a", ""),
}


@pytest.mark.parametrize("name", WRITERS)
def test_a_full_disk_leaves_nothing_half_written(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, text: str, **_: object) -> None:
        path.write_bytes(b"half")
        raise DISK_IS_FULL

    monkeypatch.setattr(Path, "write_text", full)
    monkeypatch.setattr(np, "savez_compressed", lambda file, **_: full(Path(file.name), ""))
    monkeypatch.setattr(Figure, "savefig", lambda _, path, **__: full(Path(path), ""))
    monkeypatch.setattr("noncollapse.catalogue._cache", lambda: tmp_path)
    with pytest.raises(OSError, match="No space left"):
        WRITERS[name](tmp_path)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("damage", ["a list", "torn", "gone"])
def test_a_picture_that_cannot_be_read_is_not_fresh(damage: str, tmp_path: Path) -> None:
    path = tmp_path / "pictures" / "rates.json"
    records.write_arrays(path.with_suffix(".npz"), {"x": np.zeros(3)})
    records.write_json(path, {"provenance": {"sources": sources_hash()}})
    assert _picture_is_fresh(tmp_path, "rates")
    if damage == "a list":
        path.write_text("[]")
    elif damage == "torn":
        path.with_suffix(".npz").write_bytes(path.with_suffix(".npz").read_bytes()[:50])
    else:
        path.with_suffix(".npz").unlink()
    assert not _picture_is_fresh(tmp_path, "rates")


def test_a_training_record_whose_arrays_are_damaged_is_refused(tmp_path: Path) -> None:
    record = {
        "recipe": {"method": "simclr", "data": "digits", "batch": 8}, "rows": [{"step": 0}], "steps": 1, "images": 8,
        "test_images": 8, "parameters": 1, "device": "cpu", "probes": {"trained": {}, "untrained": {}, "pixels": {}},
        "provenance": {"sources": "x", "seconds": 0.1},
    }  # fmt: skip
    records.write_json(tmp_path / "record.json", record)
    records.write_arrays(tmp_path / "record.npz", {"t": np.zeros(3)})
    assert training.load(tmp_path) == json.loads(json.dumps(record))
    (tmp_path / "record.npz").write_bytes(b"PK")
    with pytest.raises(RecordError, match="give --restart to train anew"):
        training.load(tmp_path)
