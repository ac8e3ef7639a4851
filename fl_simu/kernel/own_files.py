"""A user's own Python files, imported by path.

Each file becomes a submodule of this module, and the submodule's name encodes the path. Its classes and functions
can therefore be pickled, and another process on the same machine imports the file when it unpickles them.
"""

import base64
import hashlib
import importlib
import importlib.abc
import importlib.util
import sys
from dataclasses import dataclass
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any, List, Optional, Sequence

from fl_simu.kernel.errors import UserError

# A module with a `__path__` may have submodules. They are in no folder; the finder below creates them.
__path__: List[str] = []
_PREFIX = "file_"
# The attribute in which such a module keeps its file.
_FILE = "__fl_simu_file__"


@dataclass(frozen=True)
class OwnFile:
    """An imported file: its path, and its text at the time."""

    path: Path
    text: str

    @property
    def sha256(self) -> str:
        """SHA-256 of the text in UTF-8."""
        return hashlib.sha256(self.text.encode("utf-8")).hexdigest()


def read_own(path: Path) -> OwnFile:
    """Read the file's current text.

    Raises:
        UserError: the file cannot be read, or is not text.
    """
    try:
        return OwnFile(path.resolve(), path.read_text(encoding="utf-8"))
    except UnicodeDecodeError:
        raise UserError(f"{path}: is no Python file (it is not UTF-8)") from None
    except (OSError, ValueError, RuntimeError) as error:
        raise UserError(f"{path}: {getattr(error, 'strerror', None) or error}") from None


def import_own(file: OwnFile) -> ModuleType:
    """The module of a file. A process runs the file once, and again only if its text has changed.

    Raises:
        UserError: the file is not valid Python, or its import fails; the message names file, line and error.
    """
    name = _module_name(file.path)
    module = sys.modules.get(name)
    if module is not None and getattr(module, _FILE, None) == file:
        return module
    sys.modules.pop(name, None)
    importlib.invalidate_caches()
    try:
        return importlib.import_module(name)
    except Exception as error:
        raise UserError(f"{file.path}{_place(error, file.path)}: {_told(error)}") from error


def imported_file(thing: Any) -> Optional[OwnFile]:
    """The file that defines a class or function, as it was when imported; None for an ordinary module."""
    return getattr(sys.modules.get(getattr(thing, "__module__", "__main__")), _FILE, None)


def file_of(module_name: str) -> Optional[Path]:
    """The file that a module name encodes; None for other modules."""
    start = f"{__name__}.{_PREFIX}"
    if not module_name.startswith(start):
        return None
    coded = module_name[len(start) :].upper()
    return Path(base64.b32decode(coded + "=" * (-len(coded) % 8)).decode("utf-8"))


def _module_name(path: Path) -> str:
    coded = base64.b32encode(str(path).encode("utf-8")).decode("ascii").rstrip("=").lower()
    return f"{__name__}.{_PREFIX}{coded}"


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Creates the modules; writes no compiled copy next to the user's file."""

    def find_spec(
        self, fullname: str, path: Optional[Sequence[Any]], target: Optional[ModuleType] = None
    ) -> Optional[ModuleSpec]:
        file = file_of(fullname)
        return importlib.util.spec_from_file_location(fullname, str(file), loader=self) if file else None

    def create_module(self, spec: ModuleSpec) -> Optional[ModuleType]:
        return None

    def exec_module(self, module: ModuleType) -> None:
        file = read_own(Path(str(file_of(module.__name__))))
        module.__dict__[_FILE] = file
        exec(compile(file.text, str(file.path), "exec", dont_inherit=True), module.__dict__)


def _place(error: BaseException, path: Path) -> str:
    """The last line of the file in the error's traceback, as ", line N"."""
    if isinstance(error, SyntaxError):
        return f", line {error.lineno}"
    trace, line = error.__traceback__, None
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == str(path):
            line = trace.tb_lineno
        trace = trace.tb_next
    return f", line {line}" if line else ""


def _told(error: BaseException) -> str:
    if isinstance(error, SyntaxError):
        return f"SyntaxError: {error.msg}"
    lines = str(error).splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


sys.meta_path.append(_Finder())
