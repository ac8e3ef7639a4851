"""Checkpoints: everything that decides the rest of a run, in two files a round, each with its checksum.

`round-N.json` contains plain data, and `round-N.safetensors` the tensors that are new. Large tensors that are
already in the file of an earlier round, such as the models that slow UEs received, are not written again. That
file is kept as long as a checkpoint needs it. The JSON file is written last and names the checksums of all files,
so a checkpoint is either complete or absent. The previous checkpoint is kept.
"""

import hashlib
import json
import re
from contextlib import suppress
from pathlib import Path
from typing import Any, Callable, Dict, FrozenSet, List, Mapping, NamedTuple, Optional, Tuple

import numpy as np
import safetensors.numpy

from fl_simu.kernel.errors import UserError
from fl_simu.results.files import PathLike, make_folder, read_bytes, told_in_one_line, write_atomically

Arrays = Dict[str, np.ndarray]
Identity = Mapping[str, str]
KEPT = 2
# Smaller tensors are written every time.
LARGE_BYTES = 2**16
# If the files of earlier rounds are more than this many times as large as the tensors needed from them, all
# tensors are written again.
MOST_WASTE = 2


class Checkpoint(NamedTuple):
    """One checkpoint.

    Fields:
        round: number of rounds behind it.
        identity: what determines the results of its run, as strings by name.
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
    """Accept any complete checkpoint."""


class Written(NamedTuple):
    """The tensors of a round's own file: its checksum and its size in bytes."""

    sha256: str
    size: int


class Checkpoints:
    """The checkpoints of a run in one folder.

    Args:
        folder: created when the first checkpoint is written.
    """

    def __init__(self, folder: PathLike) -> None:
        self.folder = Path(folder)
        # What this object has written and the last checkpoint still needs: the files by round, and for the digest
        # of each large tensor the round of its file and its name there.
        self._written: Dict[int, Written] = {}
        self._places: Dict[str, Tuple[int, str]] = {}
        # For each checkpoint's round, the rounds whose files it needs.
        self._needed: Dict[int, FrozenSet[int]] = {}

    def write(self, checkpoint: Checkpoint) -> None:
        """Write a checkpoint and remove all but the newest two.

        Raises:
            UserError: it cannot be written; the earlier checkpoints are then unchanged.
        """
        make_folder(self.folder)
        round, arrays = checkpoint.round, checkpoint.arrays
        digests = {name: _digest(array) for name, array in arrays.items() if array.nbytes >= LARGE_BYTES}
        elsewhere = self._elsewhere(round, arrays, digests)
        tensors = safetensors.numpy.save({name: arrays[name] for name in arrays if name not in elsewhere})
        files = {other: self._written[other] for other, _ in elsewhere.values()}
        parts = {name: getattr(checkpoint, name) for name in _CONTENT}
        others = {str(other): written.sha256 for other, written in files.items()}
        body = json.dumps({**parts, "elsewhere": elsewhere, "files": others})
        head = {"tensors_sha256": _sha256(tensors), "body_sha256": _sha256(body.encode()), "body": body}
        json_path, tensors_path = self._paths(round)
        write_atomically(tensors_path, tensors)
        write_atomically(json_path, json.dumps(head).encode())
        self._written = {**files, round: Written(head["tensors_sha256"], len(tensors))}
        self._places = {digest: elsewhere.get(name, (round, name)) for name, digest in digests.items()}
        self._needed[round] = frozenset(self._written)
        for old in self._rounds()[KEPT:]:
            # The JSON file first, so that the remains after a crash do not count as a checkpoint.
            _remove(self._paths(old)[0])
        self._remove_unneeded()

    def _elsewhere(self, round: int, arrays: Arrays, digests: Mapping[str, str]) -> Dict[str, Tuple[int, str]]:
        """The tensors in files of earlier rounds, with their places; none if these files contain too much else."""
        places = {name: self._places[digest] for name, digest in digests.items() if digest in self._places}
        found = {name: place for name, place in places.items() if place[0] != round}
        held = sum(self._written[other].size for other in {other for other, _ in found.values()})
        needed = sum(arrays[name].nbytes for name in found)
        return found if held <= MOST_WASTE * needed else {}

    def newest(self, check: Callable[[Checkpoint], None] = accept) -> Tuple[Optional[Checkpoint], List[str]]:
        """The newest complete checkpoint.

        Args:
            check: raises ValueError for a checkpoint that is damaged although its checksums are correct; it is
                skipped. Raises UserError for one that must not be used; then no earlier one may be used either.

        Returns:
            The checkpoint, or None without a complete one; and a line for each damaged one that was skipped.

        Raises:
            UserError: from `check`, or because an older fl_simu wrote the checkpoint.
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
        parts = _parts(json_path, body)
        arrays = {**_arrays(tensors), **self._others(parts.pop("elsewhere"), parts.pop("files"))}
        return Checkpoint(round, arrays=arrays, **parts)

    def _others(self, elsewhere: Any, files: Any) -> Arrays:
        """The tensors in the files of earlier rounds."""
        held = {}
        try:
            for round, sha256 in files.items():
                path = self._paths(int(round))[1]
                if not path.exists():
                    raise ValueError(f"{path.name} is missing")
                data = read_bytes(path)
                if _sha256(data) != sha256:
                    raise ValueError("wrong checksum")
                held[int(round)] = _arrays(data)
            return {name: held[round][key] for name, (round, key) in elsewhere.items()}
        except (AttributeError, KeyError, TypeError):
            raise ValueError("it does not say where its tensors are") from None

    def _remove_unneeded(self) -> None:
        """Remove tensor files that no checkpoint needs, or that a crash left without a JSON file."""
        rounds = self._rounds()
        self._needed = {round: self._needed.get(round) or self._named(round) for round in rounds}
        kept = {self._paths(needed)[1] for round in rounds for needed in self._needed[round]}
        for path in set(self.folder.glob("round-*.safetensors")) - kept:
            _remove(path)

    def _named(self, round: int) -> FrozenSet[int]:
        """The rounds whose files are named in a checkpoint from another process."""
        try:
            body = json.loads(json.loads(read_bytes(self._paths(round)[0]).decode())["body"])
            return frozenset({round, *map(int, body["files"])})
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            # A damaged checkpoint, from which no run resumes.
            return frozenset({round})

    def _rounds(self) -> List[int]:
        """Rounds that have a checkpoint, newest first."""
        names = [path.name for path in self.folder.glob("round-*.json")] if self.folder.is_dir() else []
        matches = [re.match(r"round-(\d+)\.json$", name) for name in names]
        return sorted((int(match.group(1)) for match in matches if match), reverse=True)

    def _paths(self, round: int) -> Tuple[Path, Path]:
        name = f"round-{round:06d}"
        return self.folder / (name + ".json"), self.folder / (name + ".safetensors")


class Older(UserError):
    """A checkpoint from an older fl_simu, whose checkpoints contained less."""


_CONTENT = ("identity", "records_sha256", "plain")
_BODY = {*_CONTENT, "elsewhere", "files"}


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
    """The content of the JSON file other than the round, by its name in a checkpoint."""
    try:
        parts = json.loads(body)
        names, identity = set(parts), parts["identity"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise ValueError(f"{path.name} is not readable") from None
    if {"identity", "plain"} <= names < _BODY:
        raise Older(f"{path} is of an older fl_simu, and no run goes on from it: run the config.toml there anew")
    if names != _BODY or not isinstance(parts["records_sha256"], str):
        raise ValueError(f"{path.name} is not readable")
    if not isinstance(identity, dict) or not all(isinstance(text, str) for text in identity.values()):
        raise ValueError(f"{path.name} is not readable")
    return parts


def _arrays(tensors: bytes) -> Arrays:
    try:
        return safetensors.numpy.load(tensors)
    except Exception as error:
        # The library's own error, or numpy's error for an unknown type.
        raise ValueError(f"no tensors: {' '.join(str(error).split())[:100]}") from None


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _digest(array: np.ndarray) -> str:
    """Digest of an array's type, shape and numbers."""
    digest = hashlib.sha256(f"{array.dtype.str} {array.shape} ".encode())
    digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def read_tensors(path: PathLike) -> Arrays:
    """The arrays of a safetensors file.

    Raises:
        UserError: the file is missing, unreadable, or not a safetensors file.
    """
    data = read_bytes(path)
    try:
        return safetensors.numpy.load(data)
    except Exception as error:
        raise UserError(f"{path} is no valid safetensors file: {error}") from None


def write_tensors(path: PathLike, arrays: Arrays) -> None:
    """Write named arrays as a safetensors file, atomically."""
    write_atomically(path, safetensors.numpy.save(arrays))
