import errno
import gzip
import hashlib
import io
import os
import pickle
import socket
import struct
import tarfile
import threading
import warnings
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import numpy as np
import pooch
import pytest
import torch

import fl_simu as fl
from fl_simu.data import datasets
from fl_simu.data.datasets import (
    DATASETS,
    Cifar10,
    Cifar100,
    DataUnavailable,
    Digits,
    FashionMnist,
    Mnist,
    fetch,
    presence,
)
from fl_simu.data.downloads import FILES, DataFile, FileSet, fetch_files, find
from fl_simu.data.formats import Limited, read_batch, told_as_damage
from fl_simu.kernel.errors import BadField, UserError

REAL = os.environ.get("FL_SIMU_DATA")
needs_real = pytest.mark.skipif(not REAL, reason="FL_SIMU_DATA names no folder with the real files")


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """An empty cache for this test, no data folder, and no network."""
    monkeypatch.setattr(pooch, "os_cache", lambda name: tmp_path / "cache" / name)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    for name in ("FL_SIMU_DATA", "FL_SIMU_MIRROR"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "cache" / "fl_simu"


@pytest.fixture
def real(monkeypatch):
    monkeypatch.setenv("FL_SIMU_DATA", str(Path(REAL).resolve()))
    return Path(REAL)


def idx(array):
    return struct.pack(f">{1 + array.ndim}I", 0x0800 + array.ndim, *array.shape) + array.tobytes()


def one_line(error):
    return "\n" not in str(error.value) and str(error.value)


@pytest.fixture(scope="session")
def idx_files():
    """MNIST's four files at their official sizes; all pixels of image k are k % 251, and its label is k % 10."""
    files = {}
    for part, size in (("train", 60000), ("t10k", 10000)):
        k = np.arange(size)
        images = np.broadcast_to((k % 251).astype(np.uint8)[:, None, None], (size, 28, 28))
        files[part + "-images-idx3-ubyte"] = idx(images)
        files[part + "-labels-idx1-ubyte"] = idx((k % 10).astype(np.uint8))
    return {name + ".gz": gzip.compress(content, 1) for name, content in files.items()}


def write(folder, files, unpack=False):
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        path = folder / (name[:-3] if unpack else name)
        path.write_bytes(gzip.decompress(content) if unpack else content)


@pytest.mark.parametrize("folder, unpack", [("mnist", False), ("", False), ("MNIST/raw", True)])
def test_idx_layouts_and_normalisation(tmp_path, idx_files, folder, unpack):
    write(tmp_path / folder, idx_files, unpack)
    data = Mnist(train_samples=300, test_samples=7).load(tmp_path)
    assert (data.name, data.classes, len(data.train), len(data.test)) == ("mnist", 10, 300, 7)
    assert data.source == f"folder {tmp_path / folder}"
    assert data.train.images.shape == (300, 1, 28, 28) and data.train.images.dtype == torch.float32
    assert data.train.labels.dtype == torch.int64 and data.train.labels.tolist() == [k % 10 for k in range(300)]
    # torchvision's ToTensor and Normalize, in float32
    pixels = (np.arange(300) % 251).astype(np.float32) / np.float32(255)
    expected = (pixels - np.float32(0.1307)) / np.float32(0.3081)
    assert (data.train.images[:, 0, 13, 27].numpy() == expected).all()
    assert (data.train.images == data.train.images[:, :, :1, :1]).all()


def test_folders_are_searched_in_order(tmp_path, monkeypatch, cache):
    file = FileSet("made-up", ("made-up", ""), (), (DataFile(("a.gz", "a"), "0"),))
    places = [tmp_path / "given", tmp_path / "env", cache]
    monkeypatch.setenv("FL_SIMU_DATA", str(places[1]))
    places[0].mkdir()
    for place in reversed(places):
        assert find(file, places[0]) != [place / "a"]
        write(place, {"a": b""})
        assert find(file, places[0]) == [place / "a"]
    write(places[0] / "made-up", {"a": b""})
    assert find(file, places[0]) == [places[0] / "made-up" / "a"]
    with pytest.raises(BadField, match=r"data_dir = .*nowhere"):
        find(file, tmp_path / "nowhere")


def flip(content):
    at = len(content) // 2
    return content[:at] + bytes([content[at] ^ 0x55]) + content[at + 1 :]


def regz(change):
    return lambda content: gzip.compress(change(gzip.decompress(content)), 1)


@pytest.mark.parametrize("name", ["train-labels-idx1-ubyte.gz", "t10k-images-idx3-ubyte.gz"])
@pytest.mark.parametrize(
    "damage, what",
    [
        (lambda content: content[:-100], "Compressed file ended"),
        (flip, "damaged"),
        (lambda content: b"", "damaged"),
        (lambda content: b"<html>503</html>", "damaged.*gzip"),
        (regz(lambda raw: b"\0\0\x09\x01" + raw[4:]), "magic number 0x901, expected 0x80"),
        (
            regz(lambda raw: raw[:4] + struct.pack(">I", 59999) + raw[8:]),
            "holds 59999.* items, expected [16]0000",
        ),
        (regz(lambda raw: raw[:-1]), "bytes of data, expected"),
        (regz(lambda raw: raw + b"\0"), "bytes of data, expected"),
        (regz(lambda raw: raw[:6]), "damaged"),
    ],
    ids=["truncated", "flipped", "empty", "html", "magic", "count", "short", "long", "header"],
)
def test_damaged_idx_files_are_named(tmp_path, idx_files, name, damage, what):
    write(tmp_path, dict(idx_files, **{name: damage(idx_files[name])}))
    with pytest.raises(UserError, match=what) as error:
        Mnist(train_samples=1, test_samples=1).load(tmp_path)
    assert one_line(error).startswith(str(tmp_path / name))


def test_labels_out_of_range_and_sets_mixed_up(tmp_path, idx_files):
    name = "train-labels-idx1-ubyte.gz"
    write(tmp_path, dict(idx_files, **{name: regz(lambda raw: raw[:-1] + b"\x0b")(idx_files[name])}))
    with pytest.raises(UserError, match=r"labels from 0 to 11, expected 0 to 9"):
        Mnist().load(tmp_path)
    opening = bytes([5, 0, 4, 1, 9, 2, 1, 3])
    write(tmp_path, {name: regz(lambda raw: raw[:8] + opening + raw[16:])(idx_files[name])})
    with pytest.raises(UserError, match="holds mnist, not fashion_mnist"):
        FashionMnist().load(tmp_path)


def py2_batch(pixels, labels, key=b"labels"):
    """A batch as Python 2 and numpy 1 pickled it: protocol 2, byte strings, numpy.core."""
    rows, width = pixels.shape
    content = pixels.tobytes()
    return b"".join(
        [
            b"\x80\x02}(U\x04datacnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R",
            b"(K\x01" + b"".join(b"J" + struct.pack("<i", n) for n in (rows, width)) + b"\x86",
            b"cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb",
            b"\x89T" + struct.pack("<I", len(content)) + content + b"tb",
            b"U" + bytes([len(key)]) + key + b"](" + b"".join(b"K" + bytes([n]) for n in labels) + b"eu.",
        ]
    )


def pixels(rows, first):
    """Row k: red all first + k, green 100, blue 200."""
    red = np.repeat((first + np.arange(rows)).astype(np.uint8)[:, None], 1024, 1)
    return np.concatenate([red, np.full((rows, 1024), 100, np.uint8), np.full((rows, 1024), 200, np.uint8)], 1)


def cifar10_members():
    names = [f"data_batch_{i}" for i in range(1, 6)]
    members = {name: py2_batch(pixels(3, 10 * i), [i, 1, 2]) for i, name in enumerate(names)}
    members["test_batch"] = py2_batch(pixels(2, 90), [8, 9])
    # the official archive keeps them in no order
    return {name: members[name] for name in sorted(members, key=lambda name: name[-1])}


def archive(members, folder="cifar-10-batches-py/"):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(folder + name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return out.getvalue()


@pytest.mark.parametrize("form", ["cifar-10-python.tar.gz", "cifar-10-python-12k4k.tar.gz", "folder"])
def test_cifar10_archive_and_folder(tmp_path, form):
    if form == "folder":
        write(tmp_path / "cifar-10-batches-py", cifar10_members())
    else:
        write(tmp_path / "cifar10", {form: archive(cifar10_members())})
    data = Cifar10(train_samples=14).load(tmp_path)
    assert data.train.images.shape == (14, 3, 32, 32) and len(data.test) == 2
    assert data.train.labels.tolist() == [0, 1, 2, 1, 1, 2, 2, 1, 2, 3, 1, 2, 4, 1]
    assert data.test.labels.tolist() == [8, 9]
    red = [0, 1, 2, 10, 11, 12, 20, 21, 22, 30, 31, 32, 40, 41]
    for channel, values in enumerate([red, [100] * 14, [200] * 14]):
        expected = (torch.tensor(values, dtype=torch.float32) / 255 - 0.4750) / 0.2008
        assert torch.allclose(data.train.images[:, channel, 31, 5], expected, atol=1e-6)
    assert "a part of cifar10: 15 + 2 images" in data.source
    with pytest.raises(BadField, match=r"train_samples = 16 .* at most 15"):
        Cifar10(train_samples=16).load(tmp_path)


class Evil:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


@pytest.mark.parametrize(
    "batch, what",
    [
        (lambda good, path: pickle.dumps({"data": Evil(path), "labels": []}, 2), r"refers to \w+\.mkdir"),
        (lambda good, path: good[:-2000], "damaged"),
        (lambda good, path: b"", "damaged"),
        (lambda good, path: pickle.dumps([1], 2), "damaged"),
        (lambda good, path: py2_batch(pixels(3, 0), [1, 2]), "3 x 3072 uint8 pixels for 2 labels"),
        (lambda good, path: py2_batch(pixels(3, 0)[:, :9], [1, 2, 3]), "3 x 9 uint8 pixels for 3 labels"),
        (lambda good, path: py2_batch(pixels(3, 0), [1, 2, 10]), "labels from 1 to 10, expected 0 to 9"),
        (
            lambda good, path: pickle.dumps({"data": pixels(1, 0), "labels": [[1]]}),
            "no plain list of whole numbers",
        ),
        (lambda good, path: pickle.dumps({"data": pixels(1, 0), "labels": [float("nan")]}), "no plain list"),
        (lambda good, path: pickle.dumps({"data": pixels(1, 0), "labels": np.array([np.nan])}), "no plain list"),
        (lambda good, path: pickle.dumps({"data": pixels(1, 0), "labels": [10**30]}), "no plain list"),
        (lambda good, path: pickle.dumps({"data": [1], "labels": [1]}), "list pixels for 1 labels"),
        # Byte counts and a memo index that are too large for a file of this length.
        (lambda good, path: b"\x80\x04\x8e" + struct.pack("<Q", 6 * 2**30), "damaged"),
        (lambda good, path: b"\x80\x02Nr" + struct.pack("<I", 2**32 - 1) + b".", "no table of images and labels"),
        (
            lambda good, path: b"\x80\x02cnumpy\nndarray\n(J" + struct.pack("<i", 2**30) + b"J\x06\0\0\0t\x85R.",
            "NoneType",
        ),
    ],
    ids=[
        *("evil", "truncated", "empty", "list", "count", "width", "label"),
        *("nested labels", "NaN label", "NaN labels"),
        *("vast label", "no pixels", "vast bytes", "vast memo", "vast array"),
    ],
)
def test_damaged_and_hostile_batches(tmp_path, batch, what):
    members, trap = cifar10_members(), tmp_path / "trap"
    members["data_batch_3"] = batch(members["data_batch_3"], str(trap))
    write(tmp_path, {"cifar-10-python.tar.gz": archive(members)})
    with pytest.raises(UserError, match=what) as error:
        Cifar10().load(tmp_path)
    assert one_line(error).startswith(str(tmp_path / "cifar-10-python.tar.gz"))
    assert not trap.exists()


@pytest.mark.parametrize(
    "content, what",
    [
        (lambda good: good[: len(good) // 2], "damaged|lacks"),
        (lambda good: good[:-4], "damaged"),
        (flip, "damaged|lacks"),
        (lambda good: gzip.compress(b"no tar at all" * 99), "damaged"),
        (
            lambda good: archive({"data_batch_1": py2_batch(pixels(1, 0), [0])}),
            "lacks data_batch_2.*test_batch",
        ),
        (lambda good: archive(cifar10_members(), "../../"), None),
    ],
    ids=["truncated", "trailer", "flipped", "no-tar", "missing", "climbing"],
)
def test_damaged_archives(tmp_path, content, what):
    inner = tmp_path / "a" / "b"
    write(inner, {"cifar-10-python.tar.gz": content(archive(cifar10_members()))})
    before = sorted(tmp_path.rglob("*"))
    if what is None:
        assert len(Cifar10().load(inner).train) == 15
    else:
        with pytest.raises(UserError, match=what) as error:
            Cifar10().load(inner)
        assert one_line(error).startswith(str(inner / "cifar-10-python.tar.gz"))
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_batches_as_python_3_pickles_them(protocol):
    """Up to protocol 2, bytes are written as text, with a call of _codecs.encode."""
    given = {"data": pixels(300, 0), "labels": [k % 10 for k in range(300)], "filenames": [b"a.png"] * 300}
    read, labels = read_batch(io.BytesIO(pickle.dumps(given, protocol)), 3072, "labels")
    assert (read == given["data"]).all() and read.dtype == np.uint8
    assert labels.tolist() == given["labels"] and labels.dtype == np.int64


class Zeros:
    """An endless stream of zeros, which counts the bytes that were read."""

    count = 0

    def read(self, size):
        self.count += size
        return bytes(size)


def test_a_stream_is_read_to_its_limit_and_one_byte_further():
    zeros = Zeros()
    stream = Limited(zeros, 1000)
    assert stream.read(999) == bytes(999)
    with pytest.raises(ValueError, match="over 1,000 bytes"):
        stream.read(2**40)
    assert zeros.count == 1001


def test_what_unpacks_to_more_than_the_format_allows_is_not_read_to_its_end(tmp_path, monkeypatch):
    sparse = io.BytesIO()
    with tarfile.open(fileobj=sparse, mode="w:gz") as tar:
        for number in range(200):
            tar.addfile(tarfile.TarInfo(f"x{number}"))
    write(tmp_path, {"cifar-10-python.tar.gz": sparse.getvalue()})
    with pytest.raises(UserError, match="over 100 members"):
        Cifar10().load(tmp_path)

    long = archive({"other": bytes(2**20)})
    monkeypatch.setattr(Cifar10, "sizes", (50, 10))
    write(tmp_path, {"cifar-10-python.tar.gz": long})
    with pytest.raises(UserError, match=r"over 386,640 bytes, more than such a file holds"):
        Cifar10().load(tmp_path)


def test_a_fault_of_the_reader_or_of_the_disk_is_not_told_as_damage(tmp_path):
    with pytest.raises(AttributeError), told_as_damage(tmp_path):
        raise AttributeError("a bug")
    with pytest.raises(UserError, match=r"cannot read .*: Input/output error"), told_as_damage(tmp_path):
        raise OSError(errno.EIO, os.strerror(errno.EIO))


def test_cifar100_archive_and_sample(tmp_path):
    members = {
        "train": py2_batch(pixels(3, 0), [0, 50, 99], b"fine_labels"),
        "test": py2_batch(pixels(1, 0), [7], b"fine_labels"),
    }
    write(tmp_path / "full", {"cifar-100-python.tar.gz": archive(members, "cifar-100-python/")})
    data = Cifar100().load(tmp_path / "full")
    assert data.train.labels.tolist() == [0, 50, 99] and data.classes == 100
    assert data.train.images[0, 2, 0, 0].item() == pytest.approx((200 / 255 - 0.4409) / 0.2762, abs=1e-6)

    images = np.random.default_rng(0).integers(0, 256, (1000, 32, 32, 3)).astype(np.uint8)
    (tmp_path / "cifar100-sample").mkdir()
    path = tmp_path / "cifar100-sample" / "cifar100_sample_1000.npz"
    np.savez(str(path), images=images, labels=(np.arange(1000) % 100).astype(np.uint8))
    data = Cifar100().load(tmp_path)
    assert (len(data.train), len(data.test)) == (800, 200) and "a part" in data.source
    assert torch.bincount(data.test.labels).tolist() == [2] * 100
    back = data.test.images.numpy().transpose(0, 2, 3, 1) * [0.2673, 0.2564, 0.2762] + [
        0.5071,
        0.4865,
        0.4409,
    ]
    assert (np.rint(back * 255) == images[800:]).all()
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(UserError, match="damaged") as error:
        Cifar100().load(tmp_path)
    assert one_line(error).startswith(str(path))


def test_digits_against_scikit_learn_and_a_bilinear_formula():
    from sklearn.datasets import load_digits

    source = load_digits()
    data = Digits().load()
    assert (data.source, data.name, len(data.train), len(data.test)) == ("scikit-learn", "digits", 1442, 355)
    counts = np.bincount(source.target)
    assert torch.bincount(data.test.labels).tolist() == (counts // 5).tolist()
    assert (torch.bincount(data.train.labels) + torch.bincount(data.test.labels)).tolist() == counts.tolist()
    # output pixel i lies at (i + 1/2) 8/28 - 1/2 of the source, clamped to its range
    at = np.clip((np.arange(28) + 0.5) * 8 / 28 - 0.5, 0, 7)
    weights = np.maximum(0, 1 - np.abs(at[:, None] - np.arange(8)))
    large = weights @ source.images @ weights.T
    first = {label: np.flatnonzero(source.target == label) for label in range(10)}
    test = sorted(row for rows in first.values() for row in rows[4::5])
    train = sorted(set(range(1797)) - set(test))
    for samples, rows in ((data.train, train), (data.test, test)):
        assert np.abs(samples.images[:, 0].numpy() - (large[rows] / 16 - 0.3051) / 0.3249).max() < 1e-5
        assert (samples.labels.numpy() == source.target[rows]).all()
    assert abs(data.train.images.mean()) < 1e-3 and abs(data.train.images.std() - 1) < 1e-3
    assert (Digits(test_samples=5).load().test.images == data.test.images[:5]).all()


@pytest.mark.parametrize("name, sizes", [(n, p.sizes) for n, p in DATASETS.items()])
def test_fields_are_checked_when_made(name, sizes):
    part = DATASETS[name]
    assert part.name == name and part.__doc__
    for field, size in zip(("train_samples", "test_samples"), sizes):
        part(**{field: size})
        for bad in (0, -1, True, 2.5, "5", float("nan"), size + 1):
            with pytest.raises(BadField, match=f"{field} = .* 1 to {size}"):
                part(**{field: bad})


class Mirror:
    """A web server on 127.0.0.1 that serves path -> bytes; `cut` closes the connection halfway."""

    def __init__(self, files, cut=False):
        self.files, self.cut, self.asked = files, cut, []
        mirror = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                mirror.asked.append(self.path)
                content = mirror.files.get(self.path)
                self.send_response(404 if content is None else 200)
                self.send_header("Content-Length", str(len(content or b"")))
                self.end_headers()
                self.wfile.write((content or b"")[: len(content or b"") // (2 if mirror.cut else 1)])

            def log_message(self, *args):
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()


@pytest.fixture
def mirror():
    made = []

    def make(*args, **kwargs):
        made.append(Mirror(*args, **kwargs))
        return made[-1]

    yield make
    for one in made:
        one.server.shutdown()
        one.server.server_close()


def closed_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}/"


GOOD = gzip.compress(idx(np.arange(200, dtype=np.uint8)))


def made_up(*mirrors):
    files = (DataFile(("a.gz", "a"), hashlib.md5(GOOD).hexdigest()),)
    return FileSet("made-up", ("made-up", ""), mirrors, files)


def test_download_goes_on_to_the_mirror_that_serves_the_right_file(mirror, cache):
    wrong, cut, empty = mirror({"/a.gz": GOOD + b"x"}), mirror({"/a.gz": GOOD}, cut=True), mirror({})
    good, last = mirror({"/a.gz": GOOD}), mirror({"/a.gz": GOOD})
    files = made_up(closed_port(), wrong.url, cut.url, empty.url, good.url, last.url)
    assert fetch_files(files) == [cache / "made-up" / "a.gz"]
    assert (cache / "made-up" / "a.gz").read_bytes() == GOOD
    assert [len(m.asked) for m in (wrong, cut, empty, good, last)] == [1, 1, 1, 1, 0]
    assert fetch_files(files) == [cache / "made-up" / "a.gz"] and len(good.asked) == 1


def test_nothing_half_written_and_one_line_that_tells_all(mirror, cache, tmp_path, caplog):
    pooch.get_logger().addHandler(caplog.handler)
    wrong, cut, empty = mirror({"/a.gz": GOOD[:-1]}), mirror({"/a.gz": GOOD}, cut=True), mirror({})
    with pytest.raises(DataUnavailable) as error:
        fetch_files(made_up(closed_port(), wrong.url, cut.url, empty.url), tmp_path)
    line = one_line(error)
    for part in (
        "a.gz of made-up",
        str(tmp_path),
        str(cache),
        "(no connection)",
        f"{wrong.url}a.gz (wrong checksum)",
    ):
        assert part in line
    for part in (
        f"{empty.url}a.gz (HTTP status 404)",
        "--data-dir",
        "FL_SIMU_DATA",
        "fl_simu data fetch made-up",
    ):
        assert part in line
    assert [path for path in cache.rglob("*") if path.is_file()] == []
    pooch.get_logger().removeHandler(caplog.handler)
    assert caplog.records == []


def test_own_mirror_is_asked_first(mirror, cache, monkeypatch):
    own, other = mirror({"/sub/a.gz": GOOD}), mirror({"/a.gz": GOOD})
    monkeypatch.setenv("FL_SIMU_MIRROR", own.url + "sub")
    assert fetch_files(made_up(other.url)) == [cache / "made-up" / "a.gz"]
    assert (own.asked, other.asked) == (["/sub/made-up/a.gz", "/sub/a.gz"], [])
    monkeypatch.setenv("FL_SIMU_MIRROR", "no-url")
    (cache / "made-up" / "a.gz").unlink()
    assert fetch_files(made_up(other.url)) and len(other.asked) == 1


def test_presence_and_fetch(tmp_path, idx_files):
    write(tmp_path / "mnist", idx_files)
    write(tmp_path / "fashion-mnist", {"t10k-labels-idx1-ubyte": b""})
    found = {row.name: row for row in presence(tmp_path)}
    assert list(found) == list(DATASETS)
    assert found["mnist"].present and found["mnist"].where == str(tmp_path / "mnist")
    assert not found["fashion_mnist"].present and found["fashion_mnist"].where == (
        "missing: train-images-idx3-ubyte.gz, train-labels-idx1-ubyte.gz, t10k-images-idx3-ubyte.gz"
    )
    assert not found["cifar10"].present and found["digits"].present
    assert [path.name for path in fetch("mnist", tmp_path)] == list(idx_files)
    assert fetch("digits") == []
    with pytest.raises(BadField, match=r"dataset = 'minist' .* mnist, fashion_mnist"):
        fetch("minist")


# Images per class, in the complete files and in the smaller ones in circulation.
MNIST_COUNTS = (
    [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949],
    [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009],
)


@needs_real
@pytest.mark.parametrize(
    "name, counts",
    [
        ("mnist", MNIST_COUNTS),
        ("fashion_mnist", ([6000] * 10, [1000] * 10)),
        ("cifar10", None),
        ("cifar100", None),
    ],
)
def test_real_files(real, name, counts):
    if not next(row for row in presence() if row.name == name).present:
        pytest.skip(f"FL_SIMU_DATA lacks {name}")
    data = DATASETS[name]().load()
    classes = [torch.bincount(samples.labels).tolist() for samples in (data.train, data.test)]
    if counts is not None:
        assert classes == list(counts)
        for path, file in zip(fetch(name), FILES[name].files):
            if path.suffix == ".gz":
                assert hashlib.md5(path.read_bytes()).hexdigest() == file.md5
        assert abs(data.train.images.mean()) < 1e-3 and abs(data.train.images.std() - 1) < 1e-3
    assert all(len(set(part)) == 1 for part in classes) or name == "mnist"
    if name == "cifar10" and len(data.test) == 4000:
        assert classes == [[1200] * 10, [400] * 10]
    if name == "cifar100" and len(data.test) == 200:
        assert classes == [[8] * 100, [2] * 100]
        assert data.train.labels.tolist() == [row % 100 for row in range(800)]
    # The full range of a byte occurs, so black and white map to the ends of the closed form.
    low, high = float(data.test.images.min()), float(data.test.images.max())
    part = DATASETS[name]
    assert low == pytest.approx(min(-m / d for m, d in zip(part.mean, part.deviation)), abs=1e-5)
    assert high == pytest.approx(max((1 - m) / d for m, d in zip(part.mean, part.deviation)), abs=1e-5)


@needs_real
def test_real_cifar10_against_plain_pickle(real):
    path = real / "cifar10" / "cifar-10-python-12k4k.tar.gz"
    if not path.exists() or hashlib.md5(path.read_bytes()).hexdigest() != "1fcb318faa98c7bd41442284699c2a3a":
        pytest.skip("FL_SIMU_DATA lacks the part of CIFAR-10")
    data = Cifar10(train_samples=3000).load()
    with tarfile.open(str(path)) as tar, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # numpy 2.4 warns about dtypes that numpy 1 pickled
        batches = [
            pickle.loads(tar.extractfile("cifar-10-batches-py/" + name).read(), encoding="bytes")
            for name in ("data_batch_1", "data_batch_2", "test_batch")
        ]
    assert data.train.labels.tolist() == (batches[0][b"labels"] + batches[1][b"labels"])[:3000]
    assert data.test.labels.tolist() == batches[2][b"labels"]
    for row, pixels in ((2399, batches[0][b"data"][2399]), (2999, batches[1][b"data"][599])):
        back = np.rint((data.train.images[row].numpy() * 0.2008 + 0.4750) * 255)
        assert (back == pixels.reshape(3, 32, 32)).all()


@needs_real
def test_real_files_by_download(real, mirror, monkeypatch, cache):
    """The registered checksums and the cache's layout, with the real files on a local mirror."""
    names = [file.names[0] for file in FILES["mnist"].files]
    if not all((real / "mnist" / name).exists() for name in names):
        pytest.skip("FL_SIMU_DATA lacks MNIST's original files")
    monkeypatch.setenv(
        "FL_SIMU_MIRROR", mirror({f"/mnist/{n}": (real / "mnist" / n).read_bytes() for n in names}).url
    )
    monkeypatch.delenv("FL_SIMU_DATA")
    data = Mnist(train_samples=100, test_samples=100).load()
    assert data.source == "downloaded" and len(data.train) == 100
    assert sorted(path.name for path in (cache / "mnist").iterdir()) == sorted(names)


def test_loading_a_part_converts_only_that_part(tmp_path, idx_files, monkeypatch):
    write(tmp_path, idx_files)
    made = []
    empty = torch.empty
    monkeypatch.setattr(datasets.torch, "empty", lambda *args, **kw: made.append(args[0]) or empty(*args, **kw))
    Mnist(train_samples=50, test_samples=20).load(tmp_path)
    assert sorted(np.prod(shape) for shape in made) == [20, 50, 20 * 784, 50 * 784]


def test_mnist_as_an_npz_file_gives_the_model_of_mnist(tmp_path, idx_files):
    write(tmp_path, idx_files)
    mnist = {"name": "mnist", "train_samples": 200, "test_samples": 30}
    experiment = fl.Experiment.parse({"rounds": 2, "ues": 4, "backend": "torch", "model": "mlp", "data": mnist})
    data, path = experiment.data.load(tmp_path), str(tmp_path / "mnist.npz")
    arrays = {"x_train": data.train.images, "y_train": data.train.labels}
    arrays.update(x_test=data.test.images, y_test=data.test.labels)
    np.savez(path, **{name: tensor.numpy() for name, tensor in arrays.items()})
    exported = experiment.with_(data={"name": "npz", "path": path})
    run, other = fl.run(experiment, data_dir=tmp_path), fl.run(exported)
    assert run.summary.model_sha256 == other.summary.model_sha256
    assert [one.accuracy for one in run.records] == [one.accuracy for one in other.records]


def test_unit_scale_is_the_share_of_white():
    standard, unit = (Digits(50, 20, scale=scale).load() for scale in ("standard", "unit"))
    for one, other in ((standard.train, unit.train), (standard.test, unit.test)):
        assert torch.equal(one.labels, other.labels)
        assert (one.images * 0.3249 + 0.3051).numpy() == pytest.approx(other.images.numpy(), abs=1e-6)
    assert (float(unit.train.images.min()), float(unit.train.images.max())) == (0.0, 1.0)


def test_data_sets_keep_the_laws(tmp_path, idx_files, monkeypatch):
    write(tmp_path, idx_files)
    monkeypatch.setenv("FL_SIMU_DATA", str(tmp_path))
    for source in (Digits(100, 20), Mnist(300, 7)):
        fl.laws.check(source)
