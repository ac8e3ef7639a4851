"""One experiment: a frozen value whose parts are objects, created in Python or from TOML."""

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, Iterable, Mapping, Optional, Sequence, Tuple, Union

import tomli_w
from pydantic import Field
from typing_extensions import Annotated

from fl_simu.kernel import config
from fl_simu.kernel.checked import check, make, plain
from fl_simu.kernel.columns import Column
from fl_simu.kernel.devices import require_device
from fl_simu.kernel.errors import BadField, UserError
from fl_simu.kernel.limits import MOST, MOST_UES
from fl_simu.kernel.own_files import OwnFile, imported_file
from fl_simu.parts import KINDS, Kind, origin

if TYPE_CHECKING:
    from fl_simu.attacks.poisoning.base import Attack
    from fl_simu.backends.base import BackendSpec
    from fl_simu.data.datasets import DataSource
    from fl_simu.data.partition import Partition
    from fl_simu.meters.base import Meter
    from fl_simu.models.base import Model
    from fl_simu.privacy.base import Mechanism
    from fl_simu.privacy.secure import SecureAggregation
    from fl_simu.radio.allocation.base import Allocator
    from fl_simu.radio.bits import BitRule
    from fl_simu.radio.channels.base import Channel
    from fl_simu.radio.codecs.base import Codec
    from fl_simu.radio.delays import DelayRule
    from fl_simu.radio.downlink import Cast, Free
    from fl_simu.radio.losses import Loss
    from fl_simu.radio.media.base import Medium
    from fl_simu.radio.sizes import SizeRule
    from fl_simu.station.aggregation.base import Aggregation
    from fl_simu.station.protocols.base import Protocol
    from fl_simu.station.selection.base import Selection
    from fl_simu.station.server.base import ServerOptimizer
    from fl_simu.topology.base import Topology
    from fl_simu.ue.algorithms.base import LocalAlgorithm
    from fl_simu.ue.compute import Compute
    from fl_simu.ue.faults import Faults
    from fl_simu.ue.optimizers import Optimizer
    from fl_simu.ue.schedules import Schedule
    from fl_simu.ue.transforms.base import Transform
    from fl_simu.ue.work import LocalWork

# The largest signed 64-bit integer; TOML guarantees integers up to it.
LARGEST_SEED = 2**63 - 1


@dataclass(frozen=True)
class Training:
    """Local training of every UE.

    Args:
        epochs: passes over a UE's samples in a round (the notes' aggregation interval).
        batch_size: samples per step; the last batch of an epoch may be smaller.
        keep_optimizer_state: whether a UE keeps its momentum and moments from round to round.
        drop_last: whether an epoch leaves out the samples at its end that do not fill a batch; they differ from
            epoch to epoch. A model with batch norm needs this if a UE's last batch would have one sample. Every UE
            then needs at least one full batch.
    """

    epochs: Annotated[int, Field(ge=1, le=MOST)] = 1
    batch_size: Annotated[int, Field(ge=1, le=2**31)] = 64
    keep_optimizer_state: bool = False
    drop_last: bool = False

    def __post_init__(self) -> None:
        check(self, "training.")


@dataclass(frozen=True)
class Checkpointing:
    """How often a run writes a checkpoint.

    This does not affect the result, and may be changed when a run is resumed.

    Args:
        every: number of rounds from one checkpoint to the next; the last round is always followed by one. A
            stopped run resumes from its last checkpoint.
    """

    every: Annotated[int, Field(ge=1, le=MOST)] = 1

    def __post_init__(self) -> None:
        check(self, "checkpoint.")


# The metadata of a field for any number of parts of one kind.
SEVERAL: Mapping[str, Any] = {"part": ()}


@dataclass(frozen=True)
class Evaluating:
    """How the global model is evaluated on the test set.

    A round without evaluation has neither accuracy nor loss. The last round always has both.

    Args:
        every: number of rounds from one evaluation to the next.
        samples: number of test samples to evaluate on, drawn at random once for the complete run; all of them if
            not given.
        targets: test accuracies, above 0 and at most 1. For each target the summary reports the round that reached
            it, and the virtual time, the bits and the energy (with the meter `energy`) that it took. Targets do
            not affect the result, and may be changed when a run is resumed.
        device: where the model is evaluated, also on the UEs' own samples if a meter asks for it: "cpu", "cuda" or
            "cuda:<index>". A GPU computes without TF32, and may round the last bit differently from a CPU.
    """

    every: Annotated[int, Field(ge=1, le=MOST)] = 1
    samples: Annotated[Optional[int], Field(ge=1)] = None
    targets: Tuple[Annotated[float, Field(gt=0, le=1)], ...] = ()
    device: str = "cpu"

    def __post_init__(self) -> None:
        check(self, "evaluation.")
        require_device(self.device, "evaluation.device")


@dataclass(frozen=True)
class Stopping:
    """When a run ends before its last round.

    The run ends with the first round that reaches one of these limits.

    Args:
        accuracy: test accuracy, in a round that is evaluated.
        time_s: virtual time in s.
        uplink_bits: bits that all UEs have sent in all rounds so far.
        energy_j: energy in J that all UEs have spent in all rounds so far; needs the meter `energy`.
    """

    accuracy: Annotated[Optional[float], Field(gt=0, le=1)] = None
    time_s: Annotated[Optional[float], Field(gt=0)] = None
    uplink_bits: Annotated[Optional[float], Field(gt=0)] = None
    energy_j: Annotated[Optional[float], Field(gt=0)] = None

    def __post_init__(self) -> None:
        check(self, "stop.")

    def spent(self, amounts: Mapping[str, float]) -> bool:
        """Whether one of these amounts, by the names of the fields, has reached its limit."""
        limits = ((name, getattr(self, name)) for name in ("time_s", "uplink_bits", "energy_j"))
        return any(limit is not None and amounts.get(name, 0.0) >= limit for name, limit in limits)

    def reached(self, accuracy: float) -> bool:
        """Whether an accuracy reaches the limit; NaN never does."""
        return self.accuracy is not None and accuracy >= self.accuracy


def _part(table: str, name: str) -> Any:
    """A field that contains a part, by default the one of this name."""
    return field(default_factory=lambda: KINDS[table].build({"name": name}), metadata={"part": name})


@dataclass(frozen=True)
class Experiment:
    """Everything that decides the result of a run.

    A part may be given by its name, or by a table as in TOML.

    Args:
        name: name of the run, and part of its folder's name. It may contain letters, digits, `_`, `.` and `-`, and
            begins with a letter or a digit.
        seed: seed of every random draw.
        rounds: number of aggregations; with edges, of aggregations at the cloud.
        ues: number of UEs. It is at most the number of training samples, unless the partition is `independent`.
            With `by_ue` and `file` it must equal the number of parts.
        ues_per_round: number of UEs selected for each round, at most `ues`. Under the protocol `buffered` it is
            the number of UEs that work at a time. With edges it counts at each edge. All UEs if not given.
        threads: number of torch threads. A different number may change the last bit of a sum.
        payload: what a UE encodes: its params ("weights"), or its params minus the global model that it started
            from ("update").
        error_feedback: whether the transform `error_feedback` is appended to the chain of transforms; only with
            `payload = "update"`.
        local_layers: names of model tensors that stay at the UEs. Each UE keeps its own, neither sent nor charged
            (FedBN, FedPer). `*`, `?` and `[...]` match as in file names. Accuracy and loss are then means over all
            UEs, each with its complete model on the test set, and the model that a run saves lacks these tensors.
        training: local training.
        checkpoint: how often the run writes a checkpoint.
        evaluation: how the global model is evaluated.
        stop: when the run ends before its last round.
        transforms: what a UE does to its update between training and codec, in this order.
        meters: additional measurements.
        backend ... attack: one part each.

    Raises:
        UserError: a value is not allowed. The message is one line that names it.
    """

    name: Annotated[str, Field(max_length=100, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")] = "experiment"
    seed: Annotated[int, Field(ge=0, le=LARGEST_SEED)] = 1
    rounds: Annotated[int, Field(ge=1, le=10**9)] = 10
    ues: Annotated[int, Field(ge=1, le=MOST_UES)] = 16
    ues_per_round: Annotated[Optional[int], Field(ge=1)] = None
    # If the system cannot start this many threads, torch crashes with a segmentation fault.
    threads: Annotated[int, Field(ge=1, le=256)] = 1
    payload: str = "weights"
    error_feedback: bool = False
    local_layers: Tuple[str, ...] = ()
    training: Training = Training()
    checkpoint: Checkpointing = Checkpointing()
    evaluation: Evaluating = Evaluating()
    stop: Stopping = Stopping()
    backend: "BackendSpec" = _part("backend", "auto")
    data: "DataSource" = _part("data", "mnist")
    partition: "Partition" = _part("partition", "iid")
    model: "Model" = _part("model", "mnist_cnn")
    optimizer: "Optimizer" = _part("optimizer", "sgd")
    schedule: "Schedule" = _part("schedule", "constant")
    algorithm: "LocalAlgorithm" = _part("algorithm", "fedavg")
    work: "LocalWork" = _part("work", "full")
    compute: "Compute" = _part("compute", "constant")
    faults: "Faults" = _part("faults", "none")
    transforms: "Tuple[Transform, ...]" = field(default=(), metadata=SEVERAL)
    codec: "Codec" = _part("codec", "float32")
    bits: "BitRule" = _part("bits", "fixed")
    size: "SizeRule" = _part("size", "bytes")
    channel: "Channel" = _part("channel", "normal")
    delay: "DelayRule" = _part("delay", "integrated")
    loss: "Loss" = _part("loss", "none")
    downlink: "Union[Free, Channel]" = _part("downlink", "free")
    downlink_codec: "Codec" = _part("downlink_codec", "float32")
    cast: "Cast" = _part("cast", "unicast")
    medium: "Medium" = _part("medium", "orthogonal")
    allocator: "Allocator" = _part("allocator", "equal")
    selection: "Selection" = _part("selection", "random")
    protocol: "Protocol" = _part("protocol", "wait_for_all")
    aggregation: "Aggregation" = _part("aggregation", "mean")
    server: "ServerOptimizer" = _part("server", "replace")
    topology: "Topology" = _part("topology", "flat")
    secure: "SecureAggregation" = _part("secure", "none")
    privacy: "Mechanism" = _part("privacy", "none")
    meters: "Tuple[Meter, ...]" = field(default=(), metadata=SEVERAL)
    attack: "Attack" = _part("attack", "none")

    def __post_init__(self) -> None:
        check(self)
        for table in PARTS:
            value, kind = getattr(self, table), KINDS[table]
            if table in CHAINS:
                made: Any = tuple(_taken(kind, one) for one in _items(table, value))
            else:
                made = _taken(kind, value, DEFAULTS[table])
            object.__setattr__(self, table, made)

    @property
    def drawn(self) -> int:
        """Number of UEs selected for a round; with edges, for a round of an edge that has at least so many."""
        return self.ues_per_round or self.ues

    def without_targets(self) -> "Experiment":
        """The experiment without the target accuracies of its summary, which do not affect the result."""
        return self.with_(evaluation=dataclasses.replace(self.evaluation, targets=()))

    @property
    def uploads(self) -> int:
        """Number of uploads of a round if no UE fails."""
        return self.topology.uploads(self.ues, self.drawn)

    @staticmethod
    def parse(values: Mapping[str, Any], folder: Optional[Path] = None) -> "Experiment":
        """Create the experiment that the values of a TOML document describe.

        Args:
            values: the TOML values; omitted keys have their defaults.
            folder: paths of files in parts are relative to this folder; to the working directory if None.

        Raises:
            UserError: a key is unknown, a type is wrong, or a value is not allowed. The message is one line that
                names it.
        """
        given = dict(values)
        for key, value in values.items():
            if key in CHAINS:
                kind = KINDS[key]
                given[key] = tuple(kind.build(kind.table_of(one), folder) for one in _items(key, value))
            elif key in PARTS:
                given[key] = KINDS[key].build(KINDS[key].table_of(value, DEFAULTS[key]), folder)
            elif key in TABLES:
                given[key] = _plain_table(key, value)
        return make(Experiment, given, "")

    @staticmethod
    def read(path: Path, changes: Iterable[str] = ()) -> "Experiment":
        """Read the experiment from a TOML file, and apply `--set` assignments.

        Raises:
            UserError: the file cannot be read, or as for `parse`.
        """
        values = config.override(config.read(path), changes)
        if "log" in values:
            raise UserError(f"log in {path} is for the command `run`: in Python, give `fl.run` the observers")
        return Experiment.parse(values, path.parent)

    def named(self, table: str) -> str:
        """The name of the part in a table, also if no config can name it."""
        return KINDS[table].name_of(getattr(self, table), nameless=True)

    def with_(self, **changes: Any) -> "Experiment":
        """A copy of the experiment with other values in some fields."""
        return dataclasses.replace(self, **changes)

    def own_files(self) -> Dict[str, OwnFile]:
        """The files that its parts come from, by the table of the part."""
        files = {place: imported_file(origin(part)) for place, part in self.parts().items()}
        return {place: file for place, file in files.items() if file}

    def columns(self) -> "Dict[str, Column]":
        """The columns of its meters, medium, privacy mechanism and topology."""
        measured = {name: column for meter in self.meters for name, column in meter.columns.items()}
        return {**measured, **self.medium.columns, **self.privacy.columns, **self.topology.columns}

    def parts(self) -> Dict[str, Any]:
        """Every part, by its table; several parts in one table are numbered from 0."""
        found = {}
        for table in PARTS:
            value = getattr(self, table)
            if table in CHAINS:
                found.update({f"{table}[{at}]": part for at, part in enumerate(value)})
            else:
                found[table] = value
        return found

    def to_plain(self, nameless: bool = False) -> Dict[str, Any]:
        """The complete experiment as TOML values, without the fields that are not given.

        Args:
            nameless: whether a part may come from a place that no config can name, such as a notebook.

        Raises:
            UserError: a part comes from such a place, but may not.
        """
        tables: Dict[str, Any] = {}
        for table in PARTS:
            value, kind = getattr(self, table), KINDS[table]
            described = [kind.describe(one, nameless) for one in (value if table in CHAINS else (value,))]
            tables[table] = described if table in CHAINS else described[0]
        scalars = {name: value for name, value in vars(self).items() if name not in PARTS and value is not None}
        return {**scalars, **{key: plain(getattr(self, key)) for key in TABLES}, **tables}

    def to_toml(self) -> str:
        """The experiment as a TOML document. Parsing the document gives the same experiment."""
        return tomli_w.dumps(self.to_plain())


# Tables that are not parts.
TABLES = {"training": Training, "checkpoint": Checkpointing, "evaluation": Evaluating, "stop": Stopping}
# The fields for parts, and the names of their default parts.
DEFAULTS = {one.name: one.metadata["part"] for one in dataclasses.fields(Experiment) if "part" in one.metadata}
PARTS = tuple(DEFAULTS)
# The fields among them for any number of parts.
CHAINS = tuple(table for table, default in DEFAULTS.items() if not default)


def _items(table: str, value: Any) -> Sequence[Any]:
    if not isinstance(value, (list, tuple)):
        raise BadField(table, value, "a list of parts")
    return value


def _taken(kind: Kind, value: Any, default: Optional[str] = None) -> Any:
    """The part that Python code gives as an object, a name, or a table."""
    named = isinstance(value, (str, Mapping))
    return kind.build(kind.table_of(value, default)) if named else kind.take(value)


def _plain_table(key: str, value: Any) -> Any:
    if not isinstance(value, Mapping):
        raise BadField(key, value, "a table")
    return make(TABLES[key], value, key + ".")
