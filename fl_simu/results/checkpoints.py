"""Checkpoints: everything that decides the rest of a run, in two files a round, each with its checksum.

`round-N.json` holds plain data and `round-N.safetensors` the tensors. The JSON file is written last and names the
checksums of both, so that a checkpoint is whole or is not there; the one before it is kept.
"""

import hashlib
import json
import re
from contextlib import suppress
from pathlib import Path
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Tuple

import numpy as np
import safetensors.numpy

from fl_simu.kernel.errors import UserError
from fl_simu.results.files import PathLike, make_folder, read_bytes, told_in_one_line, write_atomically

Arrays = Dict[str, np.ndarray]
Identity = Mapping[str, str]
KEPT = 2


class Checkpoint(NamedTuple):
    """One checkpoint.

    Fields:
        round: number of rounds behind it.
        identity: what decides the numbers of the run that it belongs to, each as a text, by what it is.
        records_sha256: digest of the records before it.
        plain: JSON values.
        arrays: named arrays.
    """

    round: int
    identity: Identity
    records_sha256: str
    plain: Any
    arrays: Arrays


def accept(checkpoint: Checkpoint) -> None:
    """Take any checkpoint that is whole."""


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
        parts = {name: getattr(checkpoint, name) for name in _BODY}
        body = json.dumps(parts)
        head = {"tensors_sha256": _sha256(tensors), "body_sha256": _sha256(body.encode()), "body": body}
        json_path, tensors_path = self._paths(checkpoint.round)
        write_atomically(tensors_path, tensors)
        write_atomically(json_path, json.dumps(head).encode())
        for round in self._rounds()[KEPT:]:
            # The JSON file first: what is left of a checkpoint after a crash is then no checkpoint.
            for path in self._paths(round):
                _remove(path)
        self._remove_partnerless()

    def newest(self, check: Callable[[Checkpoint], None] = accept) -> Tuple[Optional[Checkpoint], List[str]]:
        """The newest checkpoint that is whole.

        Args:
            check: raises ValueError for a checkpoint that is damaged though its checksums are right, which is then
                passed over, and UserError for one that must not be used, nor any before it.

        Returns:
            The checkpoint, None where no whole one is there; and a line for each damaged one passed over.

        Raises:
            UserError: `check` did, or an older fl_simu wrote it.
        """
        passed_over: List[str] = []
        for round in self._rounds():
            try:
                checkpoint = self._read(round)
            except Older:
                raise
            except ValueError as error:
                why = str(error)
            else:
                why = _complaint(check, checkpoint)
                if not why:
                    return checkpoint, passed_over
            passed_over.append(f"checkpoint of round {round} is damaged ({why}); using the one before it")
        return None, passed_over

    def _read(self, round: int) -> Checkpoint:
        json_path, tensors_path = self._paths(round)
        data = read_bytes(json_path)
        try:
            head = json.loads(data.decode())
            body, wanted = head["body"], (head["body_sha256"], head["tensors_sha256"])
            body_sha256 = _sha256(body.encode())
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise ValueError(f"{json_path.name} is not readable") from None
        if not tensors_path.exists():
            raise ValueError(f"{tensors_path.name} is missing")
        tensors = read_bytes(tensors_path)
        if (body_sha256, _sha256(tensors)) != wanted:
            raise ValueError("wrong checksum")
        return Checkpoint(round, arrays=_arrays(tensors), **_parts(json_path, body))

    def _remove_partnerless(self) -> None:
        """Remove tensors that a crash left without their JSON file."""
        kept = {self._paths(round)[1] for round in self._rounds()}
        for path in set(self.folder.glob("round-*.safetensors")) - kept:
            _remove(path)

    def _rounds(self) -> List[int]:
        """Rounds that have a checkpoint, newest first."""
        names = [path.name for path in self.folder.glob("round-*.json")] if self.folder.is_dir() else []
        matches = [re.match(r"round-(\d+)\.json$", name) for name in names]
        return sorted((int(match.group(1)) for match in matches if match), reverse=True)

    def _paths(self, round: int) -> Tuple[Path, Path]:
        name = f"round-{round:06d}"
        return self.folder / (name + ".json"), self.folder / (name + ".safetensors")


class Older(UserError):
    """A checkpoint of an fl_simu whose checkpoints held less."""


_BODY = ("identity", "records_sha256", "plain")


def _remove(path: Path) -> None:
    with told_in_one_line(path, "remove"), suppress(FileNotFoundError):
        path.unlink()


def _complaint(check: Callable[[Checkpoint], None], checkpoint: Checkpoint) -> str:
    try:
        check(checkpoint)
    except UserError:
        raise
    except ValueError as error:
        return str(error) or "of another form"
    return ""


def _parts(path: Path, body: str) -> Dict[str, Any]:
    """What stands in the JSON file beside the round, by its name in a checkpoint."""
    try:
        parts = json.loads(body)
        names, identity = set(parts), parts["identity"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise ValueError(f"{path.name} is not readable") from None
    if names == {"identity", "plain"}:
        raise Older(f"{path} is of an older fl_simu, and no run goes on from it: run the config.toml there anew")
    if names != set(_BODY) or not isinstance(parts["records_sha256"], str):
        raise ValueError(f"{path.name} is not readable")
    if not isinstance(identity, dict) or not all(isinstance(text, str) for text in identity.values()):
        raise ValueError(f"{path.name} is not readable")
    return parts


def _arrays(tensors: bytes) -> Arrays:
    try:
        return safetensors.numpy.load(tensors)
    except Exception as error:
        # Its own error, and whatever numpy says of a type that it does not have.
        raise ValueError(f"no tensors: {' '.join(str(error).split())[:100]}") from None


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def read_tensors(path: PathLike) -> Arrays:
    """The arrays of a safetensors file.

    Raises:
        UserError: the file is missing, unreadable, or no safetensors file.
    """
    data = read_bytes(path)
    try:
        return safetensors.numpy.load(data)
    except Exception as error:
        raise UserError(f"{path} is no valid safetensors file: {error}") from None


def write_tensors(path: PathLike, arrays: Arrays) -> None:
    """Write named arrays as a safetensors file, atomically."""
    write_atomically(path, safetensors.numpy.save(arrays))
