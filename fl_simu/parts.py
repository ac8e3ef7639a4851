"""Parts: what an experiment is made of, and where each is found.

A part is a frozen dataclass that subclasses the contract of its kind; its fields are its arguments. A config names
it in one of three ways:

    "affine"                    a row of the kind's own list, or what an installed package offers
    "my_lab.codecs:Sparse"      a class of a module that can be imported
    "codecs.py:Sparse"          a class of a file, whose path is relative to the config's folder
"""

import dataclasses
import importlib
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Type

from fl_simu.config import nearest
from fl_simu.kernel.errors import UserError
from fl_simu.kernel.own_files import OwnFile, file_of, import_own, read_own

if sys.version_info >= (3, 10):
    from importlib.metadata import EntryPoint, entry_points
else:
    from importlib_metadata import EntryPoint, entry_points

# An installed package offers a codec by an entry point "codec.<name>" of this group.
GROUP = "fl_simu.parts"


@dataclass(frozen=True)
class Kind:
    """One kind of parts.

    Args:
        table: the table of the config that holds such a part, and its name in messages.
        contract: what every part of this kind subclasses.
        rows: the parts that come with fl_simu, by name.
    """

    table: str
    contract: type
    rows: Mapping[str, Type[Any]]

    def find(self, reference: str, folder: Optional[Path] = None) -> Type[Any]:
        """The class of a part.

        Args:
            reference: how a config names it, see above.
            folder: that files are relative to; the working directory if None.

        Raises:
            UserError: nothing is there under this name, it fails when it is imported, or it is no such part.
        """
        if reference in self.rows:
            return self.rows[reference]
        found = self._found(reference, folder or Path())
        if found is None:
            known = [*self.rows, *self.offered()]
            raise UserError(f"{self.table}.name = {reference!r} is not known: {nearest(reference, known)}")
        self._check(reference, found)
        return found

    def offered(self) -> List[str]:
        """Names of the parts of this kind that installed packages offer; nothing is imported."""
        return sorted(_entries(self.table))

    def name_of(self, part: Any, folder: Optional[Path] = None) -> str:
        """How a config names a part's class; the inverse of `find`."""
        cls = type(part)
        for name, row in self.rows.items():
            if row is cls:
                return name
        file = file_of(cls.__module__)
        return f"{file or cls.__module__}:{cls.__qualname__}"

    def _found(self, reference: str, folder: Path) -> Optional[Any]:
        place, colon, attribute = reference.rpartition(":")
        entry = _entries(self.table).get(reference)
        try:
            if entry:
                return entry.load()
            if not colon or not place:
                return None
            module = own_module(place, folder) if is_file(place) else importlib.import_module(place)
        except UserError:
            raise
        except Exception as error:
            said = (str(error).splitlines() or [""])[0]
            raise UserError(
                f"{self.table}.name = {reference!r} cannot be imported: {type(error).__name__}: {said}"
            ) from error
        return self._attribute(reference, module, attribute)

    def _attribute(self, reference: str, module: Any, attribute: str) -> Any:
        found = module
        for name in attribute.split("."):
            if not hasattr(found, name):
                raise UserError(
                    f"{self.table}.name = {reference!r} is not known: {nearest(attribute, _classes(module))}"
                )
            found = getattr(found, name)
        return found

    def _check(self, reference: str, found: Any) -> None:
        wanted = f"a frozen dataclass that subclasses {self.contract.__module__}.{self.contract.__name__}"
        parameters = getattr(found, "__dataclass_params__", None)
        if not (isinstance(found, type) and issubclass(found, self.contract)):
            raise UserError(f"{self.table}.name = {reference!r} is not allowed: it is not {wanted}")
        if not dataclasses.is_dataclass(found) or not getattr(parameters, "frozen", False):
            raise UserError(f"{self.table}.name = {reference!r} is not allowed: it is not frozen; write {wanted}")
        left = sorted(getattr(found, "__abstractmethods__", ()))
        if left:
            raise UserError(f"{self.table}.name = {reference!r} is not allowed: it lacks {', '.join(left)}")


def is_file(place: str) -> bool:
    """Whether what stands before the colon is a file and not a module."""
    return place.endswith(".py")


def own_module(place: str, folder: Path) -> Any:
    """The module of a file, relative to a folder."""
    return import_own(read_own(folder / Path(place).expanduser()))


def own_files(references: List[str], folder: Path) -> List[OwnFile]:
    """The files, as they are now, that these names of parts stand for; nothing is imported."""
    places = dict.fromkeys(reference.rpartition(":")[0] for reference in references)
    return [read_own(folder / Path(place).expanduser()) for place in places if is_file(place)]


def _classes(module: Any) -> List[str]:
    return [name for name, value in vars(module).items() if isinstance(value, type)]


def _entries(table: str) -> Dict[str, EntryPoint]:
    start = table + "."
    return {entry.name[len(start) :]: entry for entry in entry_points(group=GROUP) if entry.name.startswith(start)}
