"""Files that are damaged, hostile or strange: data sets, recordings, run folders."""

import contextlib
import functools
import gzip
import io
import json
import math
import pickle
import random
import shutil
import struct
import tarfile
import tempfile
from pathlib import Path
from typing import Any, Callable, Dict, List, Tuple

import numpy as np

from tests.fuzz import edges

Prepare = Callable[[Path], None]

SMALL = """
name = "small"
seed = 3
rounds = 1
ues = 4
channel = "constant"
model = { name = "mlp", hidden = [8] }
data = { name = "digits", train_samples = 60, test_samples = 20 }
[training]
batch_size = 16
"""
# Two runs with rich checkpoints: uploads in flight, optimisers, residuals of a lossy codec.
RUNS = (
    SMALL.replace("rounds = 1", "rounds = 2"),
    SMALL.replace("rounds = 1", 'rounds = 3\nues_per_round = 3\npayload = "update"\nerror_feedback = true')
    + 'keep_optimizer_state = true\n[optimizer]\nname = "adam"\n[codec]\nname = "affine"\nbase_bits = 2\n'
    + '[protocol]\nname = "buffered"\n',
)

# TOML documents that are not experiments.
TEXTS = (
    b"",
    b"# nothing\n",
    b"\xef\xbb\xbfrounds = 1\n",
    ".".join(["a"] * 100_000).encode() + b" = 1",
    b"x = " + b"[" * 100_000,
    b"x = " + b"{a=" * 5_000,
    b"\n".join(b"k%d = 1" % k for k in range(50_000)),
    b"a" * 2**21,
    b"rounds = " + b"9" * 100_000,
    b"[a]\n" * 3,
)


def write(path: Path, data: bytes) -> None:
    """Write a file and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def put_experiments(folder: Path) -> None:
    """Write the experiment files that command lines name."""
    write(folder / "x.toml", SMALL.encode())
    write(folder / "empty.toml", b"")
    (folder / "loop").symlink_to(folder / "loop")


def damaged_data(rng: random.Random) -> Tuple[str, Prepare]:
    """The name of a data set, and a function that puts its files into a folder."""
    name = rng.choice(("mnist", "cifar10", "cifar10", "cifar100"))
    contents = {"mnist": _idx_files, "cifar10": _cifar10, "cifar100": _sample}[name](rng)

    def prepare(folder: Path) -> None:
        for file, data in contents.items():
            write(folder / file, data)

    return name, prepare


def _idx_files(rng: random.Random) -> Dict[str, bytes]:
    files = {}
    for part, size in (("train", 60000), ("t10k", 10000)):
        for kind, shape in (("images-idx3", (size, 28, 28)), ("labels-idx1", (size,))):
            header = struct.pack(f">{1 + len(shape)}I", 0x800 + len(shape), *shape)
            files[f"{part}-{kind}-ubyte"] = header + bytes(int(np.prod(shape)))
    name = rng.choice(sorted(files))
    before = rng.random() < 0.5
    if before:
        files[name] = edges.damaged(rng, files[name][:40]) + files[name][40:]
    zipped = {key + ".gz": gzip.compress(data, 1) for key, data in files.items()}
    if not before:
        zipped[name + ".gz"] = edges.damaged(rng, zipped[name + ".gz"])
    return zipped


def _cifar10(rng: random.Random) -> Dict[str, bytes]:
    members = {f"data_batch_{k}": _batch(rng, 0.1) for k in range(1, 6)}
    members["test_batch"] = _batch(rng, 0.1)
    if rng.random() < 0.3:
        members[rng.choice(("x", "test_batch"))] = rng.choice((b"", bytes(2**20), b"\x80\x04\x8e" + b"\xff" * 8))
    if rng.random() < 0.3:
        return {"cifar-10-batches-py/" + name: data for name, data in members.items()}
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz", compresslevel=1) as tar:
        for name, data in members.items():
            info = tarfile.TarInfo("cifar-10-batches-py/" + name)
            info.size = len(data)
            info.type = rng.choice((tarfile.REGTYPE,) * 20 + (tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.FIFOTYPE))
            tar.addfile(info, io.BytesIO(data))
    data = out.getvalue()
    return {"cifar-10-python.tar.gz": edges.damaged(rng, data) if rng.random() < 0.3 else data}


def _batch(rng: random.Random, share: float) -> bytes:
    """A pickled batch of two images, strange with this probability."""
    batch: Dict[Any, Any] = {b"data": np.zeros((2, 3072), np.uint8), b"labels": [1, 2]}
    protocol = rng.randrange(5)
    if rng.random() > share:
        return pickle.dumps(batch, protocol)
    labels: List[Any] = [
        *([[1], [2]], [float("nan"), 1], [1], [], None, "ab", [10, -1], [2**70, 1], [True, False], {1: 2}),
        *([1.5, 2], ("a", 1), [None, None]),
        *(np.array([np.nan, 1]), np.array([[1, 2]]), np.array(1), np.array(["a", "b"])),
    ]
    data: List[Any] = [
        *(np.zeros((2, 3072)), np.zeros(6144, np.uint8), np.zeros((2, 9), np.uint8), [1, 2], None, b"ab"),
        *(np.zeros((0, 3072), np.uint8), np.array("x"), np.zeros((2, 3072), "V1"), {1: 2}),
    ]
    key = rng.choice((b"data", b"labels", "data", "labels", 5, None, ("a",), b"\xff"))
    batch[key] = rng.choice(labels if "labels" in str(key) else data)
    if rng.random() < 0.3:
        del batch[rng.choice(sorted(batch, key=str))]
    strange = pickle.dumps(rng.choice((batch, batch, batch, [batch], 5, None, "x")), protocol)
    return edges.damaged(rng, strange) if rng.random() < 0.5 else strange


def _sample(rng: random.Random) -> Dict[str, bytes]:
    images: Any = np.zeros((1000, 32, 32, 3), np.uint8)
    labels: Any = (np.arange(1000) % 100).astype(np.uint8)
    kind = rng.randrange(8)
    if kind == 0:
        strange = (np.full(1000, np.nan), np.zeros((1000, 1), int), np.array(["a"] * 1000), np.arange(1000))
        labels = rng.choice(strange)
    elif kind == 1:
        images = rng.choice((images[:5], images.astype(float), np.array("x"), images.reshape(-1)))
    out = io.BytesIO()
    np.savez_compressed(out, **{"images": images, rng.choice(("labels",) * 9 + ("label",)): labels})
    data = out.getvalue()
    return {"cifar100_sample_1000.npz": data if kind < 2 else edges.damaged(rng, data)}


def damaged_json(rng: random.Random) -> Tuple[Tuple[str, ...], Prepare]:
    """Arguments for LEAF data or for a partition file, and a function that puts the files into a folder."""
    name = rng.choice(("leaf_synthetic", "leaf_shakespeare", "leaf_sent140", "leaf_femnist", "file"))
    rows: Any = {
        "leaf_synthetic": [[0.5, -1e3], [2, 0.25]],
        "leaf_shakespeare": ["a" * 80, "O " * 40],
        "leaf_sent140": [[1, "", "", "", "good day"], [2, "", "", "", "bad, bad day!"]],
        "leaf_femnist": [[0.5] * 784, [1] * 784],
        "file": [],
    }[name]
    labels: Any = ["z", "\n"] if name == "leaf_shakespeare" else [0, 1]
    data = {user: {"x": list(rows), "y": list(labels)} for user in ("u", "v")}
    whole: Any = {"users": ["u", "v"], "num_samples": [2, 2], "user_data": data}
    if name == "file":
        whole = {"0": [0, 1, 5], "1": [2, 4]}
    sound = json.dumps(whole).encode()
    if rng.random() < 0.6:
        _strange_inside(rng, whole)
    text = json.dumps(whole).encode()
    contents = edges.damaged(rng, text) if rng.random() < 0.5 else text
    files = {"leaf/train/a.json": sound, "leaf/test/a.json": sound, "parts.json": contents}
    files[rng.choice(("leaf/train/a.json", "leaf/train/a.json", "leaf/test/a.json"))] = contents

    def prepare(folder: Path) -> None:
        for file, data in files.items():
            write(folder / file, data)

    if name == "file":
        return ("partition.name=file", "partition.path=parts.json", "ues=2"), prepare
    words = ("data.words=2",) if name == "leaf_sent140" else ()
    model = "leaf_lstm" if name == "leaf_shakespeare" and rng.random() < 0.2 else "logistic_regression"
    return (f"data.name={name}", "data.path=leaf", *words, f"model={model}", "partition=by_ue", "ues=2"), prepare


def _strange_inside(rng: random.Random, whole: Any) -> None:
    """Replace some value in a tree by something strange."""
    texts = ("", "x", "\ud800", "\u2028\n")
    strange = (None, True, -1, 0.5, 1e39, 10**400, math.nan, *texts, [], [[]], {}, {"x": [], "y": []})
    inside = whole
    while True:
        place = rng.choice(sorted(inside) if isinstance(inside, dict) else range(len(inside)))
        deeper = inside[place]
        if not (isinstance(deeper, (dict, list)) and deeper) or rng.random() < 0.2:
            inside[place] = rng.choice(strange)
            return
        inside = deeper


def recording(rng: random.Random) -> Tuple[str, bytes]:
    """The name and content of a file that may be a recording of a link."""
    columns, rows, step = rng.choice((1, 2, 2, 2, 3, 5, 6)), rng.choice((0, 1, 2, 5, 50)), rng.choice((1, 10, 0.5))
    separator = rng.choice((" ", "\t", ",", ";", " , "))
    odd = ("nan", "inf", "-1", "1e300", "1e-300", "5e-324", "x", "", "9" * 400, "0", "2020-01-01", "1_000", "0x10")
    lines = []
    for row in range(rows):
        cells = [str(row * step), *(str(rng.choice((1, 5.5, 0, 20))) for _ in range(columns - 1))]
        if rng.random() < 0.5 / rows:
            cells[rng.randrange(columns)] = rng.choice(odd)
        lines.append(separator.join(cells))
    if rng.random() < 0.3:
        heads = ("time,rate", "# a comment", "% x", "", "\ufeff", "Timestamp,DL_bitrate,UL_bitrate",
                 "run_num,seq_num,Throughput", "unit_id,dtime,target,fetch_time,bytes_sec")  # fmt: skip
        lines.insert(0, rng.choice(heads))
    text = rng.choice(("\n", "\r\n", "\r", "\n\n")).join(lines) + rng.choice(("", "\n"))
    data = text.encode(rng.choice(("utf-8", "utf-8", "utf-16", "utf-8-sig")))
    suffix = rng.choice((".txt", ".trace", ".csv", "", ".gz", ".xz", ".bz2"))
    if suffix == ".gz" and rng.random() < 0.5:
        data = gzip.compress(data)
    return "link" + suffix, edges.damaged(rng, data) if rng.random() < 0.3 else data


@functools.lru_cache(maxsize=None)
def base_runs() -> Tuple[Path, ...]:
    """Folders of runs that have ended, made once and removed when the process ends."""
    from fl_simu.cli.app import main

    place = Path(tempfile.mkdtemp(prefix="fl_simu-fuzz-runs-"))
    for number, text in enumerate(RUNS):
        write(place / f"{number}.toml", text.encode())
        with contextlib.redirect_stdout(io.StringIO()):
            assert main(["run", str(place / f"{number}.toml"), "--out", str(place / str(number))]) == 0
    return tuple(place / str(number) for number in range(len(RUNS)))


def damaged_run(rng: random.Random) -> Prepare:
    """Puts an intact run folder `whole` and a damaged one `run` into a folder."""
    number, seed = rng.randrange(len(RUNS)), rng.getrandbits(64)

    def prepare(folder: Path) -> None:
        base, later = base_runs()[number], random.Random(seed)
        shutil.copytree(str(base), str(folder / "whole"))
        shutil.copytree(str(base), str(folder / "run"))
        paths = [path for path in base.rglob("*") if path.is_file() and path.suffix != ".png"]
        names = sorted(str(path.relative_to(base)) for path in paths)
        names += [name for name in names if not name.endswith(".safetensors")] * 2
        for _ in range(later.choice((1, 1, 1, 2))):
            _hurt(folder / "run" / later.choice(names), later.randrange(12), later)

    return prepare


def _hurt(path: Path, kind: int, rng: random.Random) -> None:
    if not path.is_file():
        return
    data = path.read_bytes()
    if kind == 0:
        path.unlink()
    elif kind == 1:
        path.unlink()
        path.mkdir()
    elif kind == 2:
        path.unlink()
        path.symlink_to(rng.choice((path, path.parent / "nowhere", Path("/dev/null"), Path("/dev/full"))))
    elif kind <= 5:
        path.write_bytes(edges.damaged(rng, data))
    elif path.suffix in (".json", ".jsonl"):
        lines = data.splitlines() if path.suffix == ".jsonl" else [data]
        number = rng.randrange(len(lines)) if lines else 0
        with contextlib.suppress(ValueError, IndexError):
            lines[number] = json.dumps(_changed(rng, json.loads(lines[number].decode()))).encode()
        path.write_bytes(b"\n".join(lines) + b"\n")
    elif path.suffix == ".toml" and data.strip():
        texts = data.decode(errors="replace").splitlines()
        number = rng.randrange(len(texts))
        key = texts[number].partition("=")[0]
        texts[number] = rng.choice((f"{key}= {edges.literal(rng)}", "", "x = 1", "[[a]]"))
        path.write_bytes("\n".join(texts).encode("utf-8", "surrogatepass"))
    else:
        path.write_bytes(edges.damaged(rng, data))


def _changed(rng: random.Random, value: Any) -> Any:
    """Plain data with one entry removed, or changed in value or type."""
    strange = (None, 0, -1, 2**70, 1.5, float("nan"), float("inf"), "", "x", "1", [], {}, [1], {"x": 1}, True)
    if isinstance(value, dict) and value and rng.random() < 0.9:
        key = rng.choice(sorted(value))
        if rng.random() < 0.15:
            return {other: item for other, item in value.items() if other != key}
        if rng.random() < 0.05:
            return {**value, "x": 1}
        return {**value, key: _changed(rng, value[key])}
    if isinstance(value, list) and value and rng.random() < 0.9:
        place = rng.randrange(len(value))
        return value[:place] + ([] if rng.random() < 0.1 else [_changed(rng, value[place])]) + value[place + 1 :]
    return rng.choice(strange)
