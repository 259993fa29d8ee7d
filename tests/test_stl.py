"""STL-10 written here in its authors' format and read back; what is broken is one sentence."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from data_cases import nowhere, pack, pixels

from full_models.data import DataError, load

torch.set_num_threads(1)
__all__ = ["nowhere"]  # the fixture


def test_stl_10_has_columns_before_rows_and_labels_from_one(tmp_path: Path) -> None:
    images, labels = pixels(4, 3, 96, 96), np.array([1, 10, 3, 1], np.uint8)
    folder = tmp_path / "stl10_binary"
    folder.mkdir()
    for stem in ("train", "unlabeled"):
        (folder / f"{stem}_X.bin").write_bytes(images.swapaxes(-1, -2).tobytes())
    (folder / "train_y.bin").write_bytes(labels.tobytes())
    for path in (folder, tmp_path, pack(folder, tmp_path / "stl10_binary.tar.gz")):
        train = load("stl10", path=path)
        assert torch.equal(train.images, torch.from_numpy(images))
        assert not torch.equal(train.images, torch.from_numpy(images).mT)  # told apart from the order in the file
        assert train.labels is not None and train.labels.tolist() == [0, 9, 2, 0]
    unlabelled = load("stl10", "unlabelled", path=folder)
    assert unlabelled.labels is None and torch.equal(unlabelled.images, torch.from_numpy(images))
    with pytest.raises(DataError, match=r"holds no test_X.bin, test_y.bin: give the complete folder"):
        load("stl10", "test", path=folder)
    (folder / "train_X.bin").write_bytes(images.tobytes()[:-1])
    with pytest.raises(DataError, match="not 3x96x96 an image"):
        load("stl10", path=folder)
