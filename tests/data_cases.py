"""Pixels, archives and files of images to read back, and a machine with none installed."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

FIFTH = 5


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def pixels(*shape: int, seed: int = 0) -> np.ndarray:
    return rng(seed).integers(0, 256, shape, dtype=np.uint8)


@pytest.fixture(autouse=True)
def nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No usual place holds anything, whatever this machine has installed."""
    for variable in ("NONCOLLAPSE_FASHION", "NONCOLLAPSE_CIFAR10", "NONCOLLAPSE_STL10"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr("full_models.data.files.PLACES", (str(tmp_path / "usual"),))
    monkeypatch.setattr("dynamics.images.FASHION_PLACES", (str(tmp_path / "usual"),))


def pack(folder: Path, archive: Path) -> Path:
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(folder, arcname=folder.name)
    return archive


def save(file: Path, **arrays: np.ndarray) -> str:
    np.savez(file, **arrays)
    return str(file)


def encoded(image: np.ndarray, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, kind, **options)
    return buffer.getvalue()
