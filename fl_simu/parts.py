"""Parts: the components of an experiment, and where to find them.

A part is a frozen dataclass that subclasses the contract of its kind; its fields are its arguments. A config names
it in one of three ways:

    "affine"                    an entry of the kind's registry, or one that an installed package offers
    "my_lab.codecs:Sparse"      a class of a module that can be imported
    "codecs.py:Sparse"          a class of a file, whose path is relative to the config's folder

This module is below the packages that contain the parts: it names them, and imports one only when it is needed.
"""

import dataclasses
import importlib
import inspect
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, Iterable, List, Mapping, Optional, Sequence, Tuple, Type

from fl_simu.kernel.checked import lists, make, plain, told_of, tuples
from fl_simu.kernel.errors import BadField, UserError, brief, nearest, require, shown
from fl_simu.kernel.own_files import OwnFile, file_of, import_own, read_own

if sys.version_info >= (3, 10):
    from importlib.metadata import EntryPoint, entry_points
else:
    from importlib_metadata import EntryPoint, entry_points

# An installed package offers a codec through an entry point "codec.<name>" in this group.
GROUP = "fl_simu.parts"


@dataclass(frozen=True)
class Kind:
    """One kind of parts.

    Args:
        table: the name of its config table, also used in messages.
        contract: "module:Class", the base class of every part of this kind.
        registry: "module:NAME", the parts that come with fl_simu: a dict from name to class.
        adapter: "module:function", for a kind that accepts other objects as parts: makes a part from such an
            object and its arguments, or returns None if it cannot. Empty if the kind accepts parts only.
        plural: the name of these parts in `list`; by default the table's name with an s.
        listed: whether `list` shows them.
        about: "module:Class", the class whose docstring describes such a part; by default the contract.
    """

    table: str
    contract: str
    registry: str
    adapter: str = ""
    plural: str = ""
    listed: bool = True
    about: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "plural", self.plural or self.table + "s")
        object.__setattr__(self, "about", self.about or self.contract)

    @property
    def base(self) -> Type[Any]:
        """The base class of every part of this kind."""
        return _imported(self.contract)

    @property
    def described_by(self) -> Type[Any]:
        """The class whose docstring describes such a part."""
        return _imported(self.about)

    @property
    def rows(self) -> Mapping[str, Type[Any]]:
        """The parts that come with fl_simu, by name."""
        return _imported(self.registry)

    def find(self, reference: str, folder: Optional[Path] = None) -> Type[Any]:
        """The class of a part.

        Args:
            reference: its name in a config, see above.
            folder: files are relative to this folder; to the working directory if None.

        Raises:
            UserError: the name is unknown, its import fails, or it is not a part of this kind.
        """
        found = self._found(reference, folder or Path())
        self._check(reference, found)
        return found

    def offered(self) -> List[str]:
        """Names of the parts of this kind in installed packages; nothing is imported."""
        return sorted(_entries(self.table))

    def holds(self, part: Any) -> bool:
        """Whether an object is a part of this kind."""
        return isinstance(part, (self.base, *self.rows.values()))

    def name_of(self, part: Any, nameless: bool = False) -> str:
        """The name of a part in a config; the inverse of `find`.

        Args:
            part: of this kind.
            nameless: whether the part may come from a place that no config can name, such as a notebook.

        Raises:
            UserError: the part comes from such a place, but may not.
        """
        thing = origin(part)
        for name, row in self.rows.items():
            if row is thing:
                return name
        module, name = getattr(thing, "__module__", "__main__"), called(thing)
        if not nameless and (module == "__main__" or "<" in name):
            where = "a file or a module, so that a config can name it"
            raise UserError(f"{self.table} = {shown(name)} is not allowed here: put it into {where}")
        return f"{file_of(module) or module}:{name}"

    def table_of(self, value: Any, default: Optional[str] = None) -> Dict[str, Any]:
        """A part's config table. A name alone is short for a table; a table without a name is of the default part.

        Raises:
            UserError: the value is neither, or has no name.
        """
        table = {"name": value} if isinstance(value, str) else value
        name = table.get("name", default) if isinstance(table, Mapping) else None
        if not isinstance(name, str):
            raise UserError(f"{self.table} = {shown(value)} is not allowed: a name, or a table with a name")
        return {"name": name, **table}

    def build(self, options: Mapping[str, Any], folder: Optional[Path] = None) -> Any:
        """Build a part from its config table.

        Args:
            options: its name and its arguments.
            folder: files are relative to this folder; to the working directory if None.

        Raises:
            UserError: the name or an argument is unknown, or a value is not allowed.
        """
        reference = options["name"]
        found = self._found(reference, folder or Path())
        arguments = {key: value for key, value in options.items() if key != "name"}
        part = None if reference in self.rows else self._adapted(found, arguments)
        if part is None:
            self._check(reference, found)
            part = make(found, arguments, self.table + ".")
        return part

    def describe(self, part: Any, nameless: bool = False) -> Dict[str, Any]:
        """A part's config table with every argument; the inverse of `build`."""
        return {
            "name": self.name_of(part, nameless),
            **(part.arguments() if isinstance(part, Adapted) else plain(part)),
        }

    def take(self, value: Any) -> Any:
        """The part for an object from Python code: a part, or an object that a part can be made from.

        Raises:
            UserError: the object is neither.
        """
        part = value if self.holds(value) else self._adapted(value, {})
        if part is None:
            raise BadField(self.table, value, f"a part; `list` has those of kind {self.table}")
        if not _is_frozen(type(part)):
            raise BadField(self.table, value, "a frozen dataclass, as every part is")
        return part

    def _adapted(self, found: Any, arguments: Mapping[str, Any]) -> Any:
        if not self.adapter or (isinstance(found, type) and issubclass(found, self.base)):
            return None
        with told_of(self.table + ".", list(arguments)):
            return _imported(self.adapter)(found, arguments)

    def _found(self, reference: str, folder: Path) -> Any:
        if reference in self.rows:
            return self.rows[reference]
        place, _, attribute = reference.rpartition(":")
        entry = _entries(self.table).get(reference)
        if not entry and not place:
            hint = nearest(reference, [*self.rows, *self.offered()])
            if "." in reference:
                hint += '; one of your own is named by its file or module, as "mine.py:Name"'
            raise self._wrong(reference, "known", hint)
        try:
            if entry:
                return entry.load()
            module = own_module(place, folder) if is_file(place) else importlib.import_module(place)
        except UserError:
            raise
        except Exception as error:
            said = (str(error).splitlines() or [""])[0]
            what = f"it cannot be imported ({type(error).__name__}: {brief(said, 120)})"
            raise self._wrong(reference, "allowed", what) from error
        if not hasattr(module, attribute):
            raise self._wrong(reference, "known", nearest(attribute, _classes(module)))
        return getattr(module, attribute)

    def _check(self, reference: str, found: Any) -> None:
        if reference in self.rows:
            return
        contract = self.base
        wanted = f"a frozen dataclass that subclasses {contract.__module__}.{contract.__name__}"
        if not (isinstance(found, type) and issubclass(found, contract)):
            raise self._wrong(reference, "allowed", f"it is not {wanted}")
        if not _is_frozen(found):
            raise self._wrong(reference, "allowed", f"it is not frozen; write {wanted}")
        left = sorted(getattr(found, "__abstractmethods__", ()))
        if left:
            raise self._wrong(reference, "allowed", f"it lacks {', '.join(left)}")

    def _wrong(self, reference: str, what: str, why: str) -> UserError:
        return UserError(f"{self.table}.name = {shown(reference)} is not {what}: {why}")


class Adapted:
    """A part that wraps another object, such as a function that makes a module."""

    options: Tuple[Tuple[str, Any], ...]

    @property
    def origin(self) -> Any:
        """The class or function that a config names."""
        raise NotImplementedError

    def arguments(self) -> Dict[str, Any]:
        """Its arguments in a config."""
        return {name: lists(value) for name, value in self.options}


def called_with(
    table: str, found: Any, arguments: Mapping[str, Any], given: Sequence[str] = ()
) -> Optional[Tuple[Tuple[str, Any], ...]]:
    """The arguments by name for a callable that is used as a part; None if the object is not callable.

    Args:
        table: the part's table, for messages.
        found: the object that a config names.
        arguments: the arguments in the config.
        given: names of parameters that are filled in later.

    Raises:
        UserError: the callable has no such parameter, or an argument is missing.
    """
    if not callable(found):
        return None
    parameters = inspect.signature(found).parameters
    anything = any(one.kind is one.VAR_KEYWORD for one in parameters.values())
    for name in arguments:
        if name not in parameters and not anything:
            raise UserError(f"{table}.{name} is no known key: {nearest(name, parameters)}")
    for name, one in parameters.items():
        needed = one.default is one.empty and one.kind in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY)
        require(not needed or name in (*arguments, *given), f"{table}.{name}", None, "it is missing")
    return tuple((name, tuples(value)) for name, value in arguments.items())


def called(thing: Any) -> str:
    """The name of a class or function; the type's name for another callable, such as a partial function."""
    return getattr(thing, "__qualname__", f"<{type(thing).__name__}>")


def origin(part: Any) -> Any:
    """The class or function that a config names for a part."""
    return part.origin if isinstance(part, Adapted) else type(part)


KINDS: Mapping[str, Kind] = {
    kind.table: kind
    for kind in (
        Kind("backend", "fl_simu.backends.base:BackendSpec", "fl_simu.backends:BACKENDS"),
        Kind(
            "transforms",
            "fl_simu.ue.transforms.base:Transform",
            "fl_simu.ue.transforms:TRANSFORMS",
            plural="transforms",
        ),
        Kind("codec", "fl_simu.radio.codecs.base:Codec", "fl_simu.radio.codecs:CODECS"),
        Kind("bits", "fl_simu.radio.bits:BitRule", "fl_simu.radio.bits:BITS", plural="bits"),
        Kind("size", "fl_simu.radio.sizes:SizeRule", "fl_simu.radio.sizes:SIZE_RULES"),
        Kind("channel", "fl_simu.radio.channels.base:Channel", "fl_simu.radio.channels:CHANNELS"),
        Kind("delay", "fl_simu.radio.delays:DelayRule", "fl_simu.radio.delays:DELAYS"),
        Kind("loss", "fl_simu.radio.losses:Loss", "fl_simu.radio.losses:LOSSES", plural="losses"),
        Kind(
            "downlink",
            "fl_simu.radio.channels.base:Channel",
            "fl_simu.radio.downlink:DOWNLINKS",
            about="fl_simu.radio.downlink:Downlink",
        ),
        Kind(
            "downlink_codec",
            "fl_simu.radio.codecs.base:Codec",
            "fl_simu.radio.codecs:CODECS",
            about="fl_simu.radio.downlink:DownlinkCodec",
        ),
        Kind("cast", "fl_simu.radio.downlink:Cast", "fl_simu.radio.downlink:CASTS"),
        Kind("medium", "fl_simu.radio.media.base:Medium", "fl_simu.radio.media:MEDIA", plural="media"),
        Kind("allocator", "fl_simu.radio.allocation.base:Allocator", "fl_simu.radio.allocation:ALLOCATORS"),
        Kind("selection", "fl_simu.station.selection.base:Selection", "fl_simu.station.selection:SELECTIONS"),
        Kind("protocol", "fl_simu.station.protocols.base:Protocol", "fl_simu.station.protocols:PROTOCOLS"),
        Kind(
            "aggregation",
            "fl_simu.station.aggregation.base:Aggregation",
            "fl_simu.station.aggregation:AGGREGATIONS",
        ),
        Kind("server", "fl_simu.station.server.base:ServerOptimizer", "fl_simu.station.server:SERVERS"),
        Kind(
            "topology",
            "fl_simu.topology.base:Topology",
            "fl_simu.topology:TOPOLOGIES",
            plural="topologies",
        ),
        Kind(
            "secure", "fl_simu.privacy.secure:SecureAggregation", "fl_simu.privacy.secure:SECURE", plural="secure"
        ),
        Kind("privacy", "fl_simu.privacy.base:Mechanism", "fl_simu.privacy:MECHANISMS", plural="privacy"),
        Kind("meters", "fl_simu.meters.base:Meter", "fl_simu.meters:METERS", plural="meters"),
        Kind("attack", "fl_simu.attacks.poisoning.base:Attack", "fl_simu.attacks.poisoning:ATTACKS"),
        Kind("model", "fl_simu.models.base:Model", "fl_simu.models:MODELS", "fl_simu.models.own:adapt"),
        Kind("optimizer", "fl_simu.ue.optimizers:Optimizer", "fl_simu.ue.optimizers:OPTIMIZERS"),
        Kind("schedule", "fl_simu.ue.schedules:Schedule", "fl_simu.ue.schedules:SCHEDULES"),
        Kind("algorithm", "fl_simu.ue.algorithms.base:LocalAlgorithm", "fl_simu.ue.algorithms:ALGORITHMS"),
        Kind("work", "fl_simu.ue.work:LocalWork", "fl_simu.ue.work:WORKS", plural="works"),
        Kind("compute", "fl_simu.ue.compute:Compute", "fl_simu.ue.compute:COMPUTES"),
        Kind("faults", "fl_simu.ue.faults:Faults", "fl_simu.ue.faults:FAULTS", plural="faults"),
        Kind(
            "data",
            "fl_simu.data.datasets:DataSource",
            "fl_simu.data.own_data:DATA_SOURCES",
            "fl_simu.data.own_data:adapt",
            plural="datasets",
        ),
        Kind("partition", "fl_simu.data.partition:Partition", "fl_simu.data.partition:PARTITIONS"),
        # `attack leakage` uses these; no experiment has one.
        Kind(
            "method",
            "fl_simu.attacks.leakage.methods:Method",
            "fl_simu.attacks.leakage.methods:METHODS",
            listed=False,
        ),
    )
}


def is_file(place: str) -> bool:
    """Whether the text before the colon is a file, not a module."""
    return place.endswith(".py")


def own_module(place: str, folder: Path) -> Any:
    """The module of a file, relative to a folder."""
    return import_own(read_own(folder / Path(place).expanduser()))


def own_files(references: Iterable[str], folder: Path) -> List[OwnFile]:
    """The current files that these part names refer to; nothing is imported."""
    places = dict.fromkeys(reference.rpartition(":")[0] for reference in references)
    return [read_own(folder / Path(place).expanduser()) for place in places if is_file(place)]


def _imported(reference: str) -> Any:
    module, _, name = reference.partition(":")
    return getattr(importlib.import_module(module), name)


def _classes(module: Any) -> List[str]:
    return [name for name, value in vars(module).items() if isinstance(value, type)]


def _is_frozen(cls: type) -> bool:
    return dataclasses.is_dataclass(cls) and getattr(cls, "__dataclass_params__").frozen  # noqa: B009


def _entries(table: str) -> Dict[str, EntryPoint]:
    start = table + "."
    offers = entry_points(group=GROUP)
    return {entry.name[len(start) :]: entry for entry in offers if entry.name.startswith(start)}
