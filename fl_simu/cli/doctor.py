"""`doctor`: this machine's stack, the missing packages and data, and the next step.

Uses only the standard library, and runs on Python 3.6 and newer, until all packages are known to be installed.
"""

import importlib
import os
import platform
import sys
import sysconfig
from typing import List, NamedTuple, Tuple

from fl_simu.cli.surroundings import hints, look, without_data
from fl_simu.kernel import packages
from fl_simu.kernel.packages import PACKAGES, install_command, installed, locked, stack_of
from fl_simu.kernel.shell import command_line, python_command


class Found(NamedTuple):
    """The facts that decide the next step.

    Args:
        version: of Python, as (3, 11).
        system, machine: as the platform module names them.
        missing: packages of the stack that are not installed, by the names under which they are imported.
        source: whether the source is present: Makefile, requirements, environment.yml.
        made: environments that `make` has created, without the one that is running.
        no_pip: whether pip cannot install into this Python.
    """

    version: Tuple[int, int]
    system: str
    machine: str
    missing: Tuple[str, ...] = ()
    source: bool = True
    made: Tuple[str, ...] = ()
    no_pip: bool = False

    @property
    def stack(self) -> str:
        """The stack that this Python can have, or ""."""
        return stack_of(self.version, self.system, self.machine)


def find() -> Found:
    """Look at this Python and this machine. Nothing is imported."""
    stack = packages.this_stack()
    needed = [package for package in PACKAGES if not package.only_for and package.requirements(stack)]
    in_environment = sys.prefix != sys.base_prefix
    marked = os.path.exists(os.path.join(sysconfig.get_path("stdlib"), "EXTERNALLY-MANAGED"))
    return Found(
        (sys.version_info[0], sys.version_info[1]),
        platform.system(),
        platform.machine(),
        tuple(package.module for package in needed if not installed(package.module)),
        locked("modern") is not None,
        tuple(name for name in ("legacy", "modern") if _made(name)),
        not installed("pip") or (marked and not in_environment),
    )


def _made(stack: str) -> bool:
    folder = os.path.join(packages.ROOT, ".venv", stack)
    return os.path.exists(os.path.join(folder, "complete")) and os.path.realpath(sys.prefix) != os.path.realpath(
        folder
    )


def diagnosis() -> str:
    """What is installed, what is missing, and the next step."""
    found = find()
    stacks = {"": "none", "legacy": "legacy: Python 3.7, torch 1.4.0, syft 0.2.4", "modern": "modern: torch 2"}
    lines = [
        f"python   {platform.python_version()}, {sys.executable} on {platform.system()} {platform.machine()}",
        "stack    " + stacks[found.stack],
        f"cores    {os.cpu_count()}",
        "syft     " + _syft(found),
    ]
    if found.stack:
        lines.append("packages")
    for package in PACKAGES:
        if found.stack and package.requirements(found.stack):
            lines.append(f"  {package.module:<18} {_state(package, found.stack)}")
    broken = "" if found.missing or not found.stack else _broken()
    steps = _mend(broken, found) if broken else next_steps(found)
    if found.stack and not found.missing and not broken:
        told, lacking = _data()
        lines, steps = lines + told, steps + lacking
    return "\n".join([*lines, "next", *("  " + step for step in [*steps, *hints(look())])])


def _broken() -> str:
    """What fails although all packages are installed: a package of another release, or a library that it needs."""
    try:
        importlib.import_module("fl_simu.cli.inventory")
    except Exception as error:
        return " ".join(f"{type(error).__name__}: {error}".split())
    return ""


def _state(package: packages.Package, stack: str) -> str:
    if installed(package.module):
        return "installed"
    if package.only_for:
        return f"missing, needed only for {package.only_for}: {install_command(package.module, stack=stack)}"
    return "missing"


def _data() -> Tuple[List[str], List[str]]:
    """Which data sets are on this machine, and the next step if MNIST is not."""
    from fl_simu.cli.inventory import data_listing
    from fl_simu.data.downloads import cache, roots

    given = os.environ.get("FL_SIMU_DATA")
    places = ", ".join(str(root) for root in roots())
    told = f"FL_SIMU_DATA is {given}" if given else "FL_SIMU_DATA is not set"
    listing = data_listing(None).splitlines()
    missing = [line.split()[0] for line in listing if line.split()[1] == "missing"]
    lines = [f"data, looked for in {places} ({told})"] + ["  " + line for line in listing]
    return lines, [without_data(str(cache()))] if "mnist" in missing else []


def _syft(found: Found) -> str:
    if found.stack == "legacy":
        return "backend syft runs on PySyft 0.2.4"
    if stack_of((3, 7), found.system, found.machine) != "legacy":
        where = (
            f"PySyft 0.2.4 cannot be installed here: torch 1.4.0 has no build for {found.system} {found.machine}"
        )
    elif found.source:
        where = "PySyft 0.2.4 needs the legacy stack: `make setup` with a Python 3.7, or `conda env create -f {}`"
        where = where.format(os.path.relpath(os.path.join(packages.ROOT, "environment.yml")))
    else:
        where = "PySyft 0.2.4 needs the legacy stack: fl_simu installed with a Python 3.7"
    return "backend syft runs on fl_simu.pointers; " + where if found.stack else where


def _mend(broken: str, found: Found) -> List[str]:
    modules = [package.module for package in PACKAGES if not package.only_for]
    return [
        f"the packages are installed but cannot be imported ({broken}); reinstall them:",
        f"`{install_command(*modules, stack=found.stack)} --force-reinstall`",
    ]


def next_steps(found: Found) -> List[str]:
    """What to do next, one line per step."""
    if found.stack and not found.missing:
        return [f"all required packages are installed: `{command_line()}` runs the default experiment"]
    steps = []
    if not found.stack:
        steps.append(_why_no_stack(found))
    if found.made:
        folder = os.path.relpath(os.path.join(packages.ROOT, ".venv", found.made[0], "bin", "activate"))
        steps.append(f"use the environment that `make` has created: `. {folder}`")
        return [*steps, "or, for this Python:", *_packages(found)] if found.stack else steps
    return steps + (_packages(found) if found.stack else _another_python(found))


def _why_no_stack(found: Found) -> str:
    version = "{}.{}".format(*found.version)
    if found.version == (3, 7):
        return f"Python 3.7 has no stack on {found.system} {found.machine}: torch 1.4.0 has no build for it"
    return f"Python {version} has no stack: the legacy one needs 3.7, the modern one 3.10 or newer"


def _another_python(found: Found) -> List[str]:
    steps = [
        "get another Python: `uv python install 3.11`, `pyenv install 3.11` or `conda create -n py311 python=3.11`"
    ]
    if found.source:
        return [*steps, f"then run `make run` in {packages.ROOT}: it finds that Python and sets everything up"]
    return [*steps, "then install fl_simu with that Python in the same way as with this one"]


def _packages(found: Found) -> List[str]:
    steps = []
    if "torch" in found.missing and found.source and not found.made:
        steps.append(f"`make setup` in {packages.ROOT} creates a complete environment; or, without make:")
    if found.no_pip:
        steps.append(f"create an environment: `{python_command()} -m venv .venv/own`")
        steps.append("activate it: `. .venv/own/bin/activate`")
    command = install_command(*found.missing, stack=found.stack, python="python" if found.no_pip else "")
    return [*steps, f"install what is missing: `{command}`"]


def advice_without(error: Exception) -> str:
    """One line about a package that could not be imported; "" for other errors, also in fl_simu itself."""
    if (getattr(error, "name", None) or "fl_simu").split(".")[0] == "fl_simu":
        return ""
    told = " ".join(str(error).split())
    return "fl_simu: {}; `{}` says what to do".format(told, command_line("doctor"))
