"""Data sets written here in their authors' formats and read back; what is missing or broken is one sentence."""

from __future__ import annotations

import gzip
import hashlib
import io
import pickle
import pickletools
import struct
import tarfile
from collections.abc import Callable
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits

from full_models.data import DataError, ImageSet, as_float, load
from full_models.data.imageset import hold_out

torch.set_num_threads(1)
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


# --- digits, and what every ImageSet can do


def test_digits_are_split_once_and_for_all() -> None:
    flat, labels = load_digits(return_X_y=True)
    train, test = load("digits"), load("digits", "test")
    assert len(train) == 1297 and len(test) == 500 and train.shape == (1, 8, 8)
    stored = torch.cat([train.images, test.images]).double()
    assert stored.max() == 255 and train.images.dtype == torch.uint8
    assert (stored.flatten(1) * 16 / 255 - torch.from_numpy(flat)).abs().max() <= 8 / 255  # half a level, rounded
    assert train.labels is not None and test.labels is not None
    assert torch.equal(torch.cat([train.labels, test.labels]), torch.from_numpy(labels))
    assert torch.bincount(test.labels).min() > 40  # ten classes of about 50: none is missing from the test split


def test_bytes_become_floats_between_0_and_1_and_floats_stay() -> None:
    levels = torch.arange(256, dtype=torch.uint8)
    assert torch.equal(as_float(levels), torch.arange(256) / 255)
    floats = torch.tensor([-3.0, 0.2, 7.0])
    assert as_float(floats) is floats


def test_moments_are_those_of_every_pixel_of_a_channel() -> None:
    x = pixels(4100, 3, 4, 4)  # more than one part of 4,096
    x[:, 2] = 51
    mean, deviation = ImageSet(torch.from_numpy(x), None, "x").moments()
    exact = (x / 255).astype(np.float64)
    assert np.allclose(mean, exact.mean((0, 2, 3)), rtol=1e-6)  # float32
    assert np.allclose(deviation, exact.std((0, 2, 3)), rtol=1e-6, atol=1e-6)  # float32; √ of a rounded 0 for channel 2


def test_each_fifth_image_of_a_class_is_held_out() -> None:
    labels = torch.from_numpy(rng().integers(0, 3, 60))
    whole = ImageSet(torch.arange(60, dtype=torch.uint8).reshape(60, 1, 1, 1), labels, "whole")
    train, test = hold_out(whole, "train"), hold_out(whole, "test")
    ids = [set(part.images.flatten().tolist()) for part in (train, test)]
    assert ids[0] | ids[1] == set(range(60)) and not ids[0] & ids[1]
    for label in range(3):
        mine = torch.nonzero(labels == label).flatten().tolist()
        assert [i for i in mine if i in ids[1]] == mine[FIFTH - 1 :: FIFTH]
    with pytest.raises(DataError, match="whole has 4 images, too few"):
        hold_out(whole.take(torch.arange(4)), "test")


# --- Fashion-MNIST


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


# --- CIFAR-10


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


def pack(folder: Path, archive: Path) -> Path:
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(folder, arcname=folder.name)
    return archive


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


# --- STL-10


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


# --- .npz


def save(file: Path, **arrays: np.ndarray) -> str:
    np.savez(file, **arrays)
    return str(file)


@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        (pixels(10, 6, 5), lambda a: a[:, None]),
        (pixels(10, 3, 6, 5), lambda a: a),
        (pixels(10, 6, 5, 3), lambda a: np.moveaxis(a, -1, 1)),
        (pixels(10, 6, 5, 1), lambda a: np.moveaxis(a, -1, 1)),
        (rng().standard_normal((10, 7)), lambda a: a[:, None, None].astype(np.float32)),
    ],
    ids=["grey", "channels first", "channels last", "one channel last", "vectors"],
)
def test_an_npz_holds_images_in_any_usual_order(tmp_path: Path, stored: np.ndarray, expected) -> None:
    labels = np.repeat([4, 2], 5)
    data = save(tmp_path / "mine.npz", images=stored, labels=labels)
    train, test = load(data), load(data, "test")
    held = np.array([4, 9])  # the fifth of each class
    assert torch.equal(test.images, torch.from_numpy(expected(stored)[held]))
    assert torch.equal(train.images, torch.from_numpy(np.delete(expected(stored), held, 0)))
    assert test.labels is not None and test.labels.tolist() == [4, 2] and test.name == "mine"


def test_an_npz_with_a_test_split_keeps_it(tmp_path: Path) -> None:
    data = save(tmp_path / "two.npz", images=pixels(6, 4, 4), test_images=pixels(3, 4, 4, seed=1))
    assert len(load(data)) == 6 and load(data).labels is None
    assert torch.equal(load(data, "test").images, torch.from_numpy(pixels(3, 4, 4, seed=1))[:, None])


def test_an_npz_of_pairs_keeps_its_partners(tmp_path: Path) -> None:
    x, x_plus = rng().standard_normal((2, 10, 3, 4, 4))
    data = save(tmp_path / "pairs.npz", x=x, x_plus=x_plus)
    train = load(data)
    rows = np.arange(10) % FIFTH != FIFTH - 1
    assert train.partner is not None and train.labels is None
    assert torch.equal(train.images, torch.from_numpy(x[rows]).float())
    assert torch.equal(train.partner, torch.from_numpy(x_plus[rows]).float())
    with pytest.raises(DataError, match=r"x is \(10, 2\) and x_plus \(9, 2\)"):
        load(save(tmp_path / "odd.npz", x=x[:, 0, 0, :2], x_plus=x[:9, 0, 0, :2]))


def encoded(image: np.ndarray, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, kind, **options)
    return buffer.getvalue()


def test_an_npz_of_encoded_images_is_decoded(tmp_path: Path) -> None:
    images = pixels(4, 32, 32, 3)
    files = [encoded(image, "PNG") for image in images]
    offsets = np.cumsum([0, *map(len, files)]).astype(np.int32)
    arrays = {
        "test_bytes": np.frombuffer(b"".join(files), np.uint8),
        "test_off": offsets,
        "test_y": np.array([3, 1, 4, 1], np.uint8),
    }
    data = save(tmp_path / "encoded.npz", **arrays)
    for test in (load("cifar10", "test", path=Path(data)), load(data, "test")):
        assert torch.equal(test.images, torch.from_numpy(np.moveaxis(images, -1, 1)))
        assert test.labels is not None and test.labels.tolist() == [3, 1, 4, 1]
    chosen = load(data, "test", choose=lambda n: torch.tensor([n - 1, 0]))
    assert torch.equal(chosen.images, test.images[[3, 0]]) and chosen.labels.tolist() == [1, 3]
    broken = arrays["test_bytes"].copy()
    broken[offsets[2] : offsets[3]] = 0
    with pytest.raises(DataError, match=r"image 2 of .*encoded.npz is no readable image"):
        load(save(tmp_path / "encoded.npz", **{**arrays, "test_bytes": broken}), "test")
    others = load(data, "test", choose=lambda n: torch.tensor([0, 1, 3]))  # the broken one is not decoded
    assert torch.equal(others.images, test.images[[0, 1, 3]])
    with pytest.raises(DataError, match="offsets that do not cut its bytes into 4 images"):
        load(save(tmp_path / "encoded.npz", **{**arrays, "test_off": offsets[::-1]}), "test")


@pytest.mark.parametrize(
    ("arrays", "sentence"),
    [
        ({"pictures": pixels(5, 4, 4)}, "has keys pictures: save images"),
        ({"images": pixels(5)}, r"images of shape \(5,\): save \(n, h, w\)"),
        ({"images": pixels(0, 4, 4)}, r"images of shape \(0, 1, 4, 4\)"),
        ({"images": rng().integers(0, 9, (5, 4, 4))}, "images of type int64: save uint8"),
        ({"images": np.full((5, 4, 4), np.nan)}, "NaN or infinite pixels"),
        ({"images": pixels(5, 4, 4), "labels": np.zeros(4, int)}, "5 images with 4 labels"),
        ({"images": pixels(5, 4, 4), "labels": np.zeros(5)}, r"labels \(5,\) of float64: save whole numbers"),
        ({"images": pixels(5, 4, 4), "labels": np.full(5, -1)}, "save whole numbers >= 0"),
        ({"images": np.array([None] * 5, object)}, "cannot be read as an .npz"),
    ],
)
def test_what_an_npz_may_not_hold_is_one_sentence(tmp_path: Path, arrays: dict, sentence: str) -> None:
    with pytest.raises(DataError, match=sentence) as caught:
        load(save(tmp_path / "bad.npz", **arrays))
    assert "\n" not in str(caught.value) and "bad.npz" in str(caught.value)


def test_a_broken_npz_is_one_sentence(tmp_path: Path) -> None:
    file = tmp_path / "cut.npz"
    content = Path(save(file, images=pixels(50, 8, 8))).read_bytes()
    for broken in (b"", b"words", content[:500], content[:400] + bytes(50) + content[450:]):
        file.write_bytes(broken)
        with pytest.raises(DataError, match=r"cut\.npz cannot be read as an \.npz"):
            load(str(file))


# --- folders of images


def paint(file: Path, image: np.ndarray) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(file)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for label, name in enumerate(("cats", "dogs")):
        for i in range(FIFTH):
            paint(tmp_path / "pets" / name / f"{i}.png", np.full((20, 40, 3), 60 * label + i, np.uint8))
    return tmp_path / "pets"


def test_class_folders_are_labels_in_sorted_order(folder: Path) -> None:
    train, test = load(str(folder)), load(str(folder), "test", size=16)
    assert train.shape == (3, 32, 32) and test.shape == (3, 16, 16) and train.name == "pets"
    assert train.labels is not None and train.labels.tolist() == [0] * 4 + [1] * 4
    assert train.images[:, 0, 0, 0].tolist() == [0, 1, 2, 3, 60, 61, 62, 63]  # constant images resize to themselves
    assert test.images[:, 2, 5, 5].tolist() == [4, 64] and test.labels is not None and test.labels.tolist() == [0, 1]


def test_train_and_test_folders_are_the_splits(folder: Path, tmp_path: Path) -> None:
    root = tmp_path / "both"
    root.mkdir()
    folder.rename(root / "train")
    for name in ("cats", "dogs"):
        paint(root / "test" / name / "one.png", np.full((8, 8), 9, np.uint8))
    assert len(load(str(root))) == 10 and load(str(root), "test").shape == (1, 32, 32)
    (root / "test" / "dogs").rename(root / "test" / "birds")
    with pytest.raises(DataError, match="differ between train and test"):
        load(str(root))


def test_the_shorter_side_is_resized_and_the_centre_cut(tmp_path: Path) -> None:
    wide = np.zeros((8, 24), np.uint8)
    wide[:, 8:16] = 200
    for i in range(FIFTH):
        paint(tmp_path / "wide" / f"{i}.png", wide)
    data = load(str(tmp_path / "wide"), size=8)
    assert data.labels is None and data.shape == (1, 8, 8) and (data.images == 200).all()
    assert not (load(str(tmp_path / "wide"), size=4).images == 200).all()  # bicubic reaches past the cut: not a crop


def test_photographs_are_turned_upright(tmp_path: Path) -> None:
    image = pixels(8, 8, 3)
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held upright: to be turned by 90 degrees clockwise
    for i in range(FIFTH):
        file = tmp_path / "photos" / f"{i}.png"
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(encoded(image, "PNG", exif=exif))
    turned = np.moveaxis(np.rot90(image, -1), -1, 0)
    assert torch.equal(load(str(tmp_path / "photos"), size=8).images[0], torch.from_numpy(turned.copy()))


def corrupt(folder: Path) -> None:
    file = folder / "dogs" / "3.png"
    file.write_bytes(file.read_bytes()[:60])


def sixteen_bit(folder: Path) -> None:
    Image.fromarray(rng().integers(0, 60000, (9, 9)).astype(np.uint16)).save(folder / "dogs" / "3.png")


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (corrupt, r"dogs.3.png is no readable image \(.*\): remove or replace it"),
        (lambda f: (f / "cats" / "1.png").write_text("words"), "cats.1.png is no readable image"),
        (sixteen_bit, "dogs.3.png has pixels of mode I;16, not of 8 bits"),
        (lambda f: paint(f / "loose.png", pixels(4, 4)), "images beside class folders, such as loose.png"),
        (lambda f: [file.unlink() for file in f.rglob("*.png")], "has no images: give a folder of .*png"),
    ],
)
def test_what_is_wrong_with_a_folder_is_one_sentence(folder: Path, spoil, sentence: str) -> None:
    load(str(folder))
    spoil(folder)
    with pytest.raises(DataError, match=sentence) as caught:
        load(str(folder))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "options", "sentence"),
    [
        (("cifar10",), {}, "CIFAR-10 was not found: give the path of cifar-10-batches-py or cifar-10-python.tar.gz"),
        (("cifar10",), {"path": Path("absent")}, "CIFAR-10: absent does not exist"),
        (("stl10",), {}, "STL-10 was not found: .* set NONCOLLAPSE_STL10"),
        (("imagenet",), {}, "'imagenet' is neither digits, fashion-mnist, cifar10, stl10, nor a folder"),
        (("imagenet",), {"path": Path()}, "data 'imagenet' is not one of digits"),
        (("absent.npz",), {}, "absent.npz does not exist"),
        (("digits", "unlabelled"), {}, "digits has no split 'unlabelled'"),
        (("digits", "valid"), {}, "digits has no split 'valid': use train or test"),
        (("digits",), {"path": Path()}, "digits come with scikit-learn"),
        (("digits",), {"size": 16}, "size = 16 is for a folder of images"),
        (("fashion-mnist",), {"sha256": "0"}, "folder of four files"),
    ],
)
def test_what_cannot_be_loaded_is_one_sentence(arguments: tuple, options: dict, sentence: str) -> None:
    with pytest.raises(DataError, match=sentence) as caught:
        load(*arguments, **options)
    assert "\n" not in str(caught.value)
