"""Pools of image views: every image with a finite set of its augmentations, so that expectations are sums.

Real images: scikit-learn's digits (1,797 of 8x8, inside that package), Fashion-MNIST from where Debian's package
`dataset-fashion-mnist` puts it or from NONCOLLAPSE_FASHION, or an .npz of paired views. All numpy, values in [0, 1].
"""

from __future__ import annotations

import gzip
import os
import zlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dynamics.run import Array
from dynamics.setting import ImageViews, SettingError

FASHION_PLACES = ("/usr/share/datasets/fashion-mnist", "~/.cache/fashion-mnist", "data/fashion-mnist")
SAMPLED_VIEWS = 16  # views an image for augmentations that cannot be enumerated


@dataclass(frozen=True)
class Pool:
    """x: (n, m, D) m views of each of n images, flattened; shape: (height, width) of an image, (D,) if projected;
    labels: (n,) or None; paired: the views are ordered pairs (m = 2) rather than exchangeable."""

    x: Array
    shape: tuple[int, ...]
    labels: Array | None
    paired: bool = False


@lru_cache(maxsize=16)
def image_pool(views: ImageViews, seed: int) -> Pool:
    """The pool of an ImageViews: images, augmented, projected. Raises SettingError with the remedy."""
    if views.augment == "pairs":
        pool = _npz_pool(Path(views.data))
    else:
        images, labels = load_images(views.data)
        pick = np.random.default_rng(seed).permutation(len(images))[: views.count]
        chosen, named = images[pick], labels[pick].astype(np.float64)
        x = augment(chosen, views.augment, views.strength, np.random.default_rng([seed, 1]))
        pool = Pool(x.reshape(len(chosen), x.shape[1], -1), images.shape[1:], named)
    return _project(pool, views.d) if views.d else pool


def load_images(data: str) -> tuple[Array, Array]:
    """(images (n, h, w) in [0, 1], labels (n,)) of a named data set, in its own order."""
    if data == "digits":
        from sklearn.datasets import load_digits  # heavy, and only this data set needs it

        flat, labels = load_digits(return_X_y=True)
        return np.asarray(flat).reshape(-1, 8, 8) / 16.0, np.asarray(labels)
    if data == "fashion":
        folder = fashion_folder()
        return read_idx(folder / "train-images-idx3-ubyte.gz") / 255.0, read_idx(
            folder / "train-labels-idx1-ubyte.gz"
        ).astype(np.float64)
    raise SettingError(
        f"views.data {data!r} is not digits or fashion: for an .npz of paired views set augment to pairs"
    )


def fashion_folder() -> Path:
    """The folder of Fashion-MNIST's four idx.gz files: NONCOLLAPSE_FASHION, else the first of FASHION_PLACES that has them."""
    places = [os.environ.get("NONCOLLAPSE_FASHION", ""), *FASHION_PLACES]
    for place in filter(None, places):
        folder = Path(place).expanduser()
        if (folder / "train-images-idx3-ubyte.gz").is_file():
            return folder
    raise SettingError(
        "Fashion-MNIST was not found: install Debian's dataset-fashion-mnist, or set NONCOLLAPSE_FASHION to the "
        "folder of its idx.gz files, or use data = digits"
    )


def read_idx(path: Path) -> NDArray[np.uint8]:
    """An idx.gz file (magic with the number of dimensions, big-endian sizes, bytes) as a uint8 array."""
    try:
        raw = gzip.decompress(path.read_bytes())
        ndim = raw[3]
        sizes = np.frombuffer(raw, ">i4", ndim, 4)
        return np.frombuffer(raw, np.uint8, offset=4 + 4 * ndim).reshape(sizes)
    except (OSError, EOFError, ValueError, IndexError, zlib.error) as error:
        raise SettingError(f"{path} is not a readable idx.gz file ({error}): fetch it again") from None


def augment(images: Array, name: str, strength: float, rng: np.random.Generator) -> Array:
    """(n, h, w) -> (n, m, h, w): all shifts up to `strength` pixels (zeros move in), or SAMPLED_VIEWS random views."""
    if name == "shift":
        r = round(strength)
        h, w = images.shape[1:]
        padded = np.pad(images, ((0, 0), (r, r), (r, r)))
        shifts = [(i, j) for i in range(2 * r + 1) for j in range(2 * r + 1)]
        return np.stack([padded[:, i : i + h, j : j + w] for i, j in shifts], axis=1)
    repeated = np.repeat(images[:, None], SAMPLED_VIEWS, axis=1)
    if name == "noise":
        return repeated + strength * rng.standard_normal(repeated.shape)
    if strength > 1:
        raise SettingError(f"views.strength is {strength}: a mask hides a share between 0 and 1")
    return repeated * (rng.random(repeated.shape) >= strength)


def _npz_pool(path: Path) -> Pool:
    """Paired views from an .npz with arrays x and x_plus of one shape (n, ...)."""
    try:
        with np.load(path) as data:
            x, x_plus = (np.asarray(data[name], dtype=np.float64) for name in ("x", "x_plus"))
    except Exception as error:  # numpy and zipfile meet torn bytes with whatever they stumble over
        raise SettingError(f"{path}: cannot read arrays x and x_plus ({error}); save them with np.savez") from None
    if x.shape != x_plus.shape or x.ndim < 2:
        raise SettingError(f"{path}: x is {x.shape} and x_plus {x_plus.shape}; both must be (n, ...) alike")
    if not (np.isfinite(x).all() and np.isfinite(x_plus).all()):
        raise SettingError(f"{path} holds NaN or infinite values: clean x and x_plus first")
    n = len(x)
    return Pool(np.stack([x.reshape(n, -1), x_plus.reshape(n, -1)], axis=1), x.shape[1:], None, paired=True)


def _project(pool: Pool, d: int) -> Pool:
    """Onto the d leading eigenvectors of A (uncentred), scaled so that A's largest eigenvalue is 1."""
    flat = pool.x.reshape(-1, pool.x.shape[-1])
    if d > flat.shape[1]:
        raise SettingError(f"views.d is {d}, but the images have {flat.shape[1]} pixels: give a smaller d")
    values, vectors = np.linalg.eigh(flat.T @ flat / len(flat))
    x = pool.x @ vectors[:, ::-1][:, :d] / np.sqrt(values[-1])
    return Pool(x, (d,), pool.labels, pool.paired)
