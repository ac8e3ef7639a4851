"""Checkpoints: everything that decides the rest of a run, in two files a round, each with its checksum.

`round-N.json` holds plain data and `round-N.safetensors` the tensors. The JSON file is written last and names the
checksums of both, so that a checkpoint is whole or is not there; the one before it is kept.
"""

import hashlib
import json
import re
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

import numpy as np
import safetensors.numpy

from fl_simu.kernel.errors import UserError
from fl_simu.results.files import PathLike, make_folder, told_in_one_line, write_atomically

Arrays = Dict[str, np.ndarray]
KEPT = 2


class Checkpoint(NamedTuple):
    """One checkpoint.

    Fields:
        round: number of rounds behind it.
        identity: of the experiment that it belongs to.
        plain: JSON values.
        arrays: named arrays.
    """

    round: int
    identity: str
    plain: Any
    arrays: Arrays


class Checkpoints:
    """The checkpoints of a run in one folder.

    Args:
        folder: made when the first one is written.
    """

    def __init__(self, folder: PathLike) -> None:
        self.folder = Path(folder)

    def write(self, checkpoint: Checkpoint) -> None:
        """Write a checkpoint and remove all but the newest two.

        Raises:
            UserError: it cannot be written; the ones before it are as they were.
        """
        make_folder(self.folder)
        tensors = safetensors.numpy.save(checkpoint.arrays)
        body = json.dumps({"identity": checkpoint.identity, "plain": checkpoint.plain})
        head = {"tensors_sha256": _sha256(tensors), "body_sha256": _sha256(body.encode()), "body": body}
        json_path, tensors_path = self._paths(checkpoint.round)
        write_atomically(tensors_path, tensors)
        write_atomically(json_path, json.dumps(head).encode())
        for round in self._rounds()[KEPT:]:
            for path in self._paths(round):
                path.unlink()

    def newest(self) -> Tuple[Optional[Checkpoint], List[str]]:
        """The newest checkpoint that is whole.

        Returns:
            The checkpoint, None where no whole one is there; and a line for each damaged one passed over.
        """
        passed_over: List[str] = []
        for round in self._rounds():
            try:
                return self._read(round), passed_over
            except ValueError as error:
                passed_over.append(f"checkpoint of round {round} is damaged ({error}); using the one before it")
        return None, passed_over

    def _read(self, round: int) -> Checkpoint:
        json_path, tensors_path = self._paths(round)
        with told_in_one_line(json_path, "read"):
            text = json_path.read_bytes()
        try:
            head = json.loads(text.decode())
            body, wanted = head["body"], (head["body_sha256"], head["tensors_sha256"])
            body_sha256 = _sha256(body.encode())
        except (ValueError, KeyError, TypeError, AttributeError):
            raise ValueError(f"{json_path.name} is not readable") from None
        if not tensors_path.exists():
            raise ValueError(f"{tensors_path.name} is missing")
        with told_in_one_line(tensors_path, "read"):
            tensors = tensors_path.read_bytes()
        if (body_sha256, _sha256(tensors)) != wanted:
            raise ValueError("wrong checksum")
        return Checkpoint(round, arrays=safetensors.numpy.load(tensors), **json.loads(body))

    def _rounds(self) -> List[int]:
        """Rounds that have a checkpoint, newest first."""
        names = [path.name for path in self.folder.glob("round-*.json")] if self.folder.is_dir() else []
        matches = [re.match(r"round-(\d+)\.json$", name) for name in names]
        return sorted((int(match.group(1)) for match in matches if match), reverse=True)

    def _paths(self, round: int) -> Tuple[Path, Path]:
        name = f"round-{round:06d}"
        return self.folder / (name + ".json"), self.folder / (name + ".safetensors")


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def read_tensors(path: PathLike) -> Arrays:
    """The arrays of a safetensors file.

    Raises:
        UserError: the file is missing, unreadable, or no safetensors file.
    """
    with told_in_one_line(path, "read"):
        data = Path(path).read_bytes()
    try:
        return safetensors.numpy.load(data)
    except Exception as error:
        raise UserError(f"{path} is no valid safetensors file: {error}") from None


def write_tensors(path: PathLike, arrays: Arrays) -> None:
    """Write named arrays as a safetensors file, atomically."""
    write_atomically(path, safetensors.numpy.save(arrays))
