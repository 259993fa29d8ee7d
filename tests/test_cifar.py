"""CIFAR-10 written here in its authors' format and read back; what is broken is one sentence, and no pickle runs code."""

from __future__ import annotations

import hashlib
import pickle
import pickletools
from collections.abc import Callable
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
import torch
from data_cases import nowhere, pack, pixels, rng

from full_models.data import DataError, load

torch.set_num_threads(1)
__all__ = ["nowhere"]  # the fixture


def as_python_2(raw: bytes) -> bytes:
    """A protocol-3 pickle as Python 2 and an old numpy wrote it: protocol 2, every string a byte string."""
    out = bytearray(raw)
    old = {"BINUNICODE": b"T", "BINBYTES": b"T", "SHORT_BINBYTES": b"U"}  # opcodes of the same layout
    for opcode, argument, at in pickletools.genops(raw):
        if opcode.name in old:
            out[at : at + 1] = old[opcode.name]
        elif opcode.name == "PROTO":
            assert argument == 3
            out[at + 1] = 2
    return bytes(out).replace(b"numpy._core.multiarray", b"numpy.core.multiarray")


def batch(k: int) -> tuple[np.ndarray, list[int]]:
    return pixels(6, 3072, seed=k), rng(k).integers(0, 10, 6).tolist()


def write_cifar(folder: Path) -> None:
    folder.mkdir(parents=True)
    for k, name in enumerate([f"data_batch_{b}" for b in range(1, 6)] + ["test_batch"]):
        data, labels = batch(k)
        content = {b"data": data, b"labels": labels, b"batch_label": b"a batch"}
        (folder / name).write_bytes(as_python_2(pickle.dumps(content, protocol=3)))


@pytest.fixture
def cifar(tmp_path: Path) -> Path:
    write_cifar(tmp_path / "cifar-10-batches-py")
    return tmp_path / "cifar-10-batches-py"


def test_cifar_10_is_read_from_its_folder_its_archive_and_the_usual_place(cifar: Path, tmp_path: Path) -> None:
    train, test = load("cifar10", path=cifar), load("cifar10", "test", path=cifar)
    data, labels = zip(*(batch(k) for k in range(5)), strict=True)
    assert torch.equal(train.images, torch.from_numpy(np.concatenate(data).reshape(-1, 3, 32, 32)))
    assert train.labels is not None and train.labels.tolist() == list(chain(*labels))
    assert torch.equal(test.images, torch.from_numpy(batch(5)[0].reshape(-1, 3, 32, 32)))
    archive = pack(cifar, tmp_path / "cifar-10-python.tar.gz")
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    assert torch.equal(load("cifar10", path=archive, sha256=digest.upper()).images, train.images)
    (tmp_path / "usual").mkdir()
    archive.rename(tmp_path / "usual" / archive.name)
    assert torch.equal(load("cifar10").images, train.images)


def test_cifar_10_is_checked_before_it_is_read(cifar: Path, tmp_path: Path) -> None:
    archive = pack(cifar, tmp_path / "cifar-10-python.tar.gz")
    with pytest.raises(DataError, match=f"has sha256 [0-9a-f]{{64}}, not {'0' * 64}: fetch the file again"):
        load("cifar10", path=archive, sha256="0" * 64)
    with pytest.raises(DataError, match="is no file, and a checksum is of one file"):
        load("cifar10", path=cifar, sha256="0" * 64)
    archive.write_bytes(archive.read_bytes()[:5000])
    with pytest.raises(DataError, match=r"cifar-10-python.tar.gz cannot be read \(.*\): fetch it again"):
        load("cifar10", path=archive)
    (cifar / "data_batch_3").unlink()
    with pytest.raises(DataError, match="holds no data_batch_3"):
        load("cifar10", path=cifar)


class Harm:
    """A pickle of this calls Path.touch when it is loaded by an ordinary unpickler."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[Callable[..., None], tuple[Path]]:
        return Path.touch, (self.file,)


def test_a_pickle_cannot_run_code(cifar: Path, tmp_path: Path) -> None:
    target = tmp_path / "ran"
    harmful = pickle.dumps({b"data": Harm(target)})
    (cifar / "test_batch").write_bytes(harmful)
    with pytest.raises(DataError, match="test_batch is not a pickle of arrays"):
        load("cifar10", "test", path=cifar)
    assert not target.exists()
    pickle.loads(harmful)
    assert target.exists()  # so the refusal above is what kept it from running
    for broken in (b"", b"\x80\x04junk", pickle.dumps([1, 2]), pickle.dumps({b"data": pixels(2, 3072)})):
        (cifar / "test_batch").write_bytes(broken)
        with pytest.raises(DataError, match="fetch it again"):
            load("cifar10", "test", path=cifar)
