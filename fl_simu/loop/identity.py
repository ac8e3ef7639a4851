"""What determines a run's results besides its checkpoint: versions, the experiment, the files that it reads."""

import hashlib
from pathlib import Path
from typing import Any

from fl_simu import __version__
from fl_simu.data.datasets import Dataset
from fl_simu.kernel.installation import versions
from fl_simu.loop.plan import Plan, digest
from fl_simu.results.checkpoints import Identity
from fl_simu.results.files import read_bytes, told_in_one_line


def identity(planned: Plan, dataset: Dataset) -> Identity:
    """A string for each property in which a resumed run must equal the stopped one.

    Raises:
        UserError: a recording of rates cannot be read.
    """
    found = {
        "fl_simu": __version__,
        "torch": versions()["torch"],
        "the experiment": digest(planned.experiment),
        f"the data set {dataset.name}": _of_samples(dataset),
    }
    for table, part in planned.experiment.parts().items():
        path = getattr(part, "path", "")
        if path:
            found[f"the files of {table}.path"] = _of_files(Path(path))
    for table, file in planned.experiment.own_files().items():
        found[f"the file {file.path.name} of {table}"] = file.sha256
    return found


def differing(here: Identity, there: Identity) -> str:
    """A phrase with the entries of another identity that differ from this one; empty if they are equal.

    >>> differing({"torch": "2.5.1", "the experiment": 64 * "a"}, {"torch": "1.4.0", "the experiment": 64 * "a"})
    'torch 1.4.0 (here 2.5.1)'
    """
    names = [name for name in dict.fromkeys([*here, *there]) if here.get(name) != there.get(name)]
    return ", ".join(f"{name[:60]} {_short(there, name)} (here {_short(here, name)})" for name in names[:4])


def _short(one: Identity, name: str) -> str:
    return one.get(name, "none")[:16]


def _of_samples(dataset: Dataset) -> str:
    """Digest of the samples that a run computes with, regardless of how its files are packed."""
    found = hashlib.sha256()
    for samples in (dataset.train, dataset.test):
        tensors = (samples.images, samples.labels, samples.ues)
        for tensor in (tensor for tensor in tensors if tensor is not None):
            found.update(repr(tuple(tensor.shape)).encode())
            found.update(_bytes(tensor))
    return found.hexdigest()


def _bytes(tensor: Any) -> Any:
    return memoryview(tensor.contiguous().numpy()).cast("B") if tensor.numel() else b""


def _of_files(path: Path) -> str:
    """Digest of a file, or of the files of a folder with their names."""
    with told_in_one_line(path, "read"):
        files = sorted(file for file in path.iterdir() if file.is_file()) if path.is_dir() else [path]
    found = hashlib.sha256()
    for file in files:
        data = read_bytes(file)
        found.update(f"{file.name if len(files) > 1 else ''} {len(data)} ".encode())
        found.update(data)
    return found.hexdigest()
