"""The results of a run: one record per round, a log that survives a crash, and a summary."""

import hashlib
import json
import math
import os
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Tuple, TypeVar

from fl_simu.kernel.errors import UserError, require
from fl_simu.results.attack_measures import require_measures
from fl_simu.results.files import (
    PathLike,
    append_durably,
    finite_or_none,
    read_bytes,
    read_json,
    told_in_one_line,
    write_atomically,
    write_json,
)
from fl_simu.results.values import count, items, number, text

T = TypeVar("T")

ACCEPTED = ("full", "base", "none")
_ONE_OF_THESE = "one of " + ", ".join(ACCEPTED)


@dataclass(frozen=True)
class UeOutcome:
    """What one UE did in one round, and which part of it the base station accepted.

    Args:
        ue: number of the UE.
        compute_s: simulated training time [s].
        delays_s: one delay per layer, base first: from the start of the upload to the arrival of that layer [s];
            infinite or NaN if it never arrived.
        bits: bits that this UE sent in this round [bit].
        accepted: "full", "base" or "none".
        reason: why nothing was accepted ("late", "lost", "not finite", "wrong shape", "dropped out", "not
            reached", "not moved"), otherwise empty.
        download_s: from the broadcast to the arrival of the global model [s]; 0 if the downlink is free.
        meters: numbers of the meters for this upload, by the names of their columns.

    Raises:
        BadField: `accepted` is another word, or `bits` is negative.
    """

    ue: int
    compute_s: float
    delays_s: Tuple[float, ...]
    bits: int
    accepted: str
    reason: str = ""
    download_s: float = 0.0
    meters: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        # An object is created for every upload.
        if self.accepted not in ACCEPTED or self.bits < 0:
            require(self.accepted in ACCEPTED, "accepted", self.accepted, _ONE_OF_THESE)
            require(self.bits >= 0, "bits", self.bits, "0 or more")


@dataclass(frozen=True)
class RoundRecord:
    """One round, i.e. one aggregation.

    Args:
        round: number of the round.
        time_s: virtual time of the aggregation, since the run began [s].
        accuracy: test accuracy of the aggregated model, 0 to 1; NaN if it was not evaluated.
        loss: test loss of the aggregated model; NaN if it was not evaluated.
        uplink_bits: bits that all UEs sent in this round [bit].
        ues: the UEs that took part.
        wall_time_s: wall-clock time of this round [s].
        downlink_bits: bits that the BS sent to hand these UEs the model [bit]; 0 if the downlink is free.
        attack: measures of the attack on the run, as JSON values; None without an attack.
        meters: numbers of the meters for the round, by the names of their columns.

    Raises:
        BadField: `uplink_bits` is not the sum of the UEs' bits.
    """

    round: int
    time_s: float
    accuracy: float
    loss: float
    uplink_bits: int
    ues: Tuple[UeOutcome, ...]
    wall_time_s: float
    downlink_bits: int = 0
    attack: Optional[Mapping[str, Any]] = None
    meters: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        total = sum(outcome.bits for outcome in self.ues)
        require(self.uplink_bits == total, "uplink_bits", self.uplink_bits, f"the sum of its UEs' bits, {total}")

    def to_line(self) -> str:
        """Return the record as one line of JSON, without the newline; NaN and infinities are null."""
        value = {
            "round": int(self.round),
            "time_s": float(self.time_s),
            "accuracy": float(self.accuracy),
            "loss": float(self.loss),
            "uplink_bits": int(self.uplink_bits),
            "ues": [_plain_outcome(outcome) for outcome in self.ues],
            "wall_time_s": float(self.wall_time_s),
            "downlink_bits": int(self.downlink_bits),
            **({} if self.attack is None else {"attack": dict(self.attack)}),
            **_plain_meters(self.meters),
        }
        try:
            # Usually all numbers are finite, so there is nothing to replace.
            return json.dumps(value, allow_nan=False)
        except ValueError:
            return json.dumps(finite_or_none(value), allow_nan=False)

    @staticmethod
    def from_line(line: str) -> "RoundRecord":
        """Return the record of a line. Finite floats are the same bit for bit; null becomes NaN.

        Raises:
            ValueError: the line is not a record.
        """
        try:
            value = json.loads(line)
            numbers = {name: number(value[name]) for name in ("time_s", "accuracy", "loss", "wall_time_s")}
            counts = {name: count(value[name]) for name in ("round", "uplink_bits", "downlink_bits")}
            outcomes = tuple(_read_outcome(outcome) for outcome in value["ues"])
            if "attack" in value:
                require_measures(value["attack"])
            own = {**numbers, **counts, "ues": outcomes, **_read_meters(value)}
            return RoundRecord(**{**value, **own})
        except (KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
            raise ValueError(f"not a record of a round: {type(error).__name__}") from error


def _plain_outcome(outcome: UeOutcome) -> Dict[str, Any]:
    return {
        "ue": int(outcome.ue),
        "compute_s": float(outcome.compute_s),
        "delays_s": [float(delay_s) for delay_s in outcome.delays_s],
        "bits": int(outcome.bits),
        "accepted": outcome.accepted,
        "reason": outcome.reason,
        "download_s": float(outcome.download_s),
        **_plain_meters(outcome.meters),
    }


def _plain_meters(meters: Mapping[str, float]) -> Dict[str, Dict[str, float]]:
    return {"meters": {name: float(value) for name, value in meters.items()}} if meters else {}


def _read_meters(value: Dict[str, Any]) -> Dict[str, Dict[str, float]]:
    told = {text(name): number(one) for name, one in value.get("meters", {}).items()}
    return {"meters": told} if told else {}


def _read_outcome(value: Dict[str, Any]) -> UeOutcome:
    delays_s = tuple(number(delay_s) for delay_s in items(value["delays_s"]))
    whole = {"ue": count(value["ue"]), "bits": count(value["bits"])}
    times = {name: number(value[name]) for name in ("compute_s", "download_s")}
    words = {name: text(value[name]) for name in ("accepted", "reason")}
    return UeOutcome(**{**value, "delays_s": delays_s, **times, **whole, **words, **_read_meters(value)})


class RoundLog:
    """The records of a run in one file (`rounds.jsonl`), one line per round.

    Args:
        path: the file. It need not exist yet, but its folder must.
    """

    def __init__(self, path: PathLike) -> None:
        self.path = Path(path)
        self._hash: Optional[Any] = None

    def append(self, record: RoundRecord) -> None:
        """Add a record and write it to disk.

        Raises:
            UserError: the file cannot be written; it then contains the same records as before.
        """
        if not self._ends_whole():
            self.truncate(len(self.read()))
        line = record.to_line().encode("ascii") + b"\n"
        if self._hash is None:
            self._hash = hashlib.sha256(self._content())
        append_durably(self.path, line)
        self._hash.update(line)

    def read(self) -> List[RoundRecord]:
        """Return the records in order; none if there is no file. A half-written last line is skipped.

        Raises:
            UserError: the file cannot be read, or a line before the last is damaged; it names the line.
        """
        return self.read_as(RoundRecord.from_line)

    def read_as(self, read: Callable[[str], T]) -> List[T]:
        """Like `read`, but return the result of a function for each line, in order.

        Args:
            read: called with each line; raises ValueError if the line is not a record.
        """
        return [self._parse(line, at, read) for at, line in enumerate(self._whole_lines(), start=1)]

    def digest(self, rounds: Optional[int] = None) -> str:
        """The SHA-256 of the first `rounds` lines, or of all lines if not given.

        Raises:
            UserError: the file cannot be read, or contains fewer records.
        """
        if rounds is None:
            return (self._hash or hashlib.sha256(self._content())).hexdigest()
        return hashlib.sha256(b"".join(line + b"\n" for line in self._first(rounds))).hexdigest()

    def truncate(self, rounds: int) -> None:
        """Keep the first `rounds` records, byte for byte, and drop the rest and any half-written line.

        Raises:
            UserError: the file contains fewer records, a record to keep is damaged, or the file cannot be written.
        """
        lines = self._first(rounds)
        for at, line in enumerate(lines, start=1):
            self._parse(line, at, RoundRecord.from_line)
        write_atomically(self.path, b"".join(line + b"\n" for line in lines))
        self._hash = None

    def _first(self, rounds: int) -> List[bytes]:
        require(rounds >= 0, "rounds", rounds, "0 or more")
        lines = self._whole_lines()
        if len(lines) < rounds:
            raise UserError(f"{self.path} holds {len(lines)} rounds, fewer than the {rounds} to keep")
        return lines[:rounds]

    def _ends_whole(self) -> bool:
        with told_in_one_line(self.path, "read"):
            if not self.path.exists():
                return True
            with open(str(self.path), "rb") as file:
                file.seek(max(0, file.seek(0, os.SEEK_END) - 1))
                return file.read(1) in (b"", b"\n")

    def _content(self) -> bytes:
        with told_in_one_line(self.path, "read"):
            there = self.path.exists()
        return read_bytes(self.path) if there else b""

    def _whole_lines(self) -> List[bytes]:
        # The newline is written last, so what follows the last one was cut off.
        return self._content().split(b"\n")[:-1]

    def _parse(self, line: bytes, at: int, read: Callable[[str], T]) -> T:
        try:
            return read(line.decode("ascii"))
        except ValueError as error:
            raise UserError(f"{self.path}, line {at}: not a record of a round") from error


_COUNTS = ("rounds", "ues", "uplink_bits", "downlink_bits", "accepted_full", "accepted_base", "rejected")
_NUMBERS = ("final_accuracy", "final_loss", "virtual_time_s", "wall_time_s")


@dataclass(frozen=True)
class Summary:
    """The summary of a run: the content of `summary.json`.

    Args:
        name, backend, stack, seed: which experiment ran, and on which backend and stack.
        rounds, ues: number of rounds and of UEs.
        final_accuracy, final_loss: those of the last round; accuracy is 0 to 1; NaN without a round.
        virtual_time_s: virtual time of the last aggregation [s].
        wall_time_s: wall-clock time [s].
        uplink_bits: bits that all UEs sent in all rounds [bit].
        downlink_bits: bits that the BS sent in all rounds to hand them the model [bit].
        accepted_full, accepted_base, rejected: numbers of uploads over all rounds.
        model_sha256: hash of the final params.
        facts: other results, as JSON values; `summary.json` has them next to the fields above.
    """

    name: str
    backend: str
    stack: str
    seed: int
    rounds: int
    ues: int
    final_accuracy: float
    final_loss: float
    virtual_time_s: float
    wall_time_s: float
    uplink_bits: int
    downlink_bits: int
    accepted_full: int
    accepted_base: int
    rejected: int
    model_sha256: str
    facts: Mapping[str, Any] = field(default_factory=dict)

    def as_dict(self) -> Dict[str, Any]:
        """Return the fields in order, followed by the facts."""
        own = {entry.name: getattr(self, entry.name) for entry in fields(self) if entry.name != "facts"}
        return {**own, **{name: fact for name, fact in self.facts.items() if name not in own}}

    def write(self, path: PathLike) -> None:
        """Write `summary.json` atomically, with null for NaN.

        Raises:
            UserError: the file cannot be written.
        """
        write_json(path, self.as_dict())

    @staticmethod
    def read(path: PathLike) -> "Summary":
        """Read the summary from a file that `write` wrote.

        Raises:
            UserError: the file cannot be read, or contains no summary.
        """
        try:
            value = read_json(path)
            words = {name: text(value[name]) for name in ("name", "backend", "stack", "model_sha256")}
            counts = {name: count(value[name]) for name in _COUNTS}
            numbers = {name: number(value[name]) for name in _NUMBERS}
            seed = value["seed"]
            if isinstance(seed, bool) or not isinstance(seed, int):
                raise TypeError("no seed")
        except UserError:
            raise
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
            key = f" at {error}" if isinstance(error, KeyError) else ""
            raise UserError(f"{path} is damaged{key}: it is not what a run came to") from None
        own: Dict[str, Any] = {**words, **counts, **numbers, "seed": seed}
        return Summary(**own, facts={name: fact for name, fact in value.items() if name not in own})


def summarise(
    records: Sequence[RoundRecord],
    name: str,
    backend: str,
    stack: str,
    seed: int,
    ues: int,
    model_sha256: str,
    wall_time_s: Optional[float] = None,
    **facts: Any,
) -> Summary:
    """Make a summary from the records and from what the caller knows.

    Args:
        records: the rounds in order; may be empty.
        name, backend, stack, seed, ues, model_sha256, facts: as in `Summary`.
        wall_time_s: time of the complete run [s]; the sum over the rounds if omitted.
    """
    outcomes = [outcome.accepted for record in records for outcome in record.ues]
    if wall_time_s is None:
        wall_time_s = sum(record.wall_time_s for record in records)
    return Summary(
        name=name,
        backend=backend,
        stack=stack,
        seed=seed,
        rounds=len(records),
        ues=ues,
        final_accuracy=float(records[-1].accuracy) if records else math.nan,
        final_loss=float(records[-1].loss) if records else math.nan,
        virtual_time_s=float(records[-1].time_s) if records else 0.0,
        wall_time_s=float(wall_time_s),
        uplink_bits=sum(int(record.uplink_bits) for record in records),
        downlink_bits=sum(int(record.downlink_bits) for record in records),
        accepted_full=outcomes.count("full"),
        accepted_base=outcomes.count("base"),
        rejected=outcomes.count("none"),
        model_sha256=model_sha256,
        facts=facts,
    )
