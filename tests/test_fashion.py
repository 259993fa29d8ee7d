"""Fashion-MNIST written here in its authors' format and read back; what is broken is one sentence."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from data_cases import nowhere, pixels

from full_models.data import DataError, load

torch.set_num_threads(1)
__all__ = ["nowhere"]  # the fixture


def write_idx(file: Path, array: np.ndarray) -> None:
    header = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}i", *array.shape)
    file.write_bytes(gzip.compress(header + array.tobytes()))


@pytest.fixture
def fashion(tmp_path: Path) -> Path:
    for stem, n, seed in (("train", 12, 1), ("t10k", 5, 2)):
        write_idx(tmp_path / f"{stem}-images-idx3-ubyte.gz", pixels(n, 28, 28, seed=seed))
        write_idx(tmp_path / f"{stem}-labels-idx1-ubyte.gz", pixels(n, seed=seed) % 10)
    return tmp_path


def test_fashion_mnist_is_read_from_a_path_or_its_variable(fashion: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    test = load("fashion-mnist", "test", path=fashion)
    assert torch.equal(test.images, torch.from_numpy(pixels(5, 28, 28, seed=2))[:, None])
    assert test.labels is not None and test.labels.tolist() == (pixels(5, seed=2) % 10).tolist()
    monkeypatch.setenv("NONCOLLAPSE_FASHION", str(fashion))
    assert torch.equal(load("fashion-mnist").images, torch.from_numpy(pixels(12, 28, 28, seed=1))[:, None])


def test_fashion_mnist_says_what_is_wrong_with_its_files(fashion: Path) -> None:
    with pytest.raises(DataError, match="Fashion-MNIST was not found: install"):
        load("fashion-mnist")
    write_idx(fashion / "t10k-labels-idx1-ubyte.gz", pixels(4))
    with pytest.raises(DataError, match=r"images \(5, 28, 28\) with labels \(4,\)"):
        load("fashion-mnist", "test", path=fashion)
    file = fashion / "train-images-idx3-ubyte.gz"
    content = file.read_bytes()
    for broken in (content[:1000], content[:200] + bytes(200) + content[400:], b"nothing"):
        file.write_bytes(broken)
        with pytest.raises(DataError, match=r"train-images-idx3-ubyte\.gz is not a readable idx\.gz file"):
            load("fashion-mnist", path=fashion)
