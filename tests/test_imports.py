"""Import rules: only lower layers, no package of the same layer, no cycles, syft and ray in one file each."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "fl_simu"

# The layers, from top to bottom. A package may import packages of lower layers; packages of one layer never import
# one another.
FLOORS = (
    ("__main__",),
    ("cli",),
    ("studies", "old_scripts"),
    ("api", "observers"),
    ("loop", "laws"),
    ("attacks", "meters", "privacy", "topology"),
    ("backends",),
    ("station", "radio", "ue", "data", "models", "results", "pointers"),
    ("experiment",),
    ("parts",),
    ("kernel",),
)
FLOOR = {name: height for height, floor in enumerate(reversed(FLOORS)) for name in floor}

# Their import has large side effects; only the backend that needs one may import it, and only when it is used.
HEAVY = {"syft": "backends/syft_workers.py", "ray": "backends/ray_actors.py"}


def modules():
    """Dotted name -> syntax tree of every module of the package."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = list(path.relative_to(PACKAGE.parent).with_suffix("").parts)
        if parts[-1] == "__init__":
            parts.pop()
        found[".".join(parts)] = ast.parse(path.read_text(encoding="utf-8"), str(path))
    return found


MODULES = modules()


def top(module):
    """The top package of a module; "" for fl_simu itself."""
    return [*module.split("."), ""][1]


def running(tree):
    """The nodes of a module without those below `if TYPE_CHECKING`: an annotation imports nothing."""
    yield tree
    for child in ast.iter_child_nodes(tree):
        if isinstance(child, ast.If) and isinstance(child.test, ast.Name) and child.test.id == "TYPE_CHECKING":
            continue
        yield from running(child)


def imported(tree):
    """Dotted names that a module imports, anywhere in it; for `from a import b` both a and a.b."""
    for node in running(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: write imports in full, from fl_simu"
            yield node.module
            for alias in node.names:
                yield f"{node.module}.{alias.name}"


def own(tree):
    """The imported names that are modules of this package."""
    return sorted({name for name in imported(tree) if name in MODULES and name != "fl_simu"})


def may_import(room, other):
    if room == other:
        return True
    return FLOOR[other] < FLOOR[room]


def test_every_module_stands_on_a_floor():
    unknown = sorted({top(name) for name in MODULES} - set(FLOOR) - {""})
    assert not unknown, (
        f"say in FLOORS of {Path(__file__).name} on which floor of the house these stand: {unknown}"
    )


@pytest.mark.parametrize("module", sorted(MODULES))
def test_imports_go_down_only(module):
    others = own(MODULES[module])
    if module == "fl_simu":
        assert not others, "`import fl_simu` must stay light"
    for name in (module, *others):
        assert top(name) in FLOOR or not top(name), f"{name} stands on no floor, see FLOORS"
    wrong = [other for other in others if not may_import(top(module), top(other))]
    assert not wrong, f"{module} must not import {wrong}: imports go down only, see FLOORS"


def test_the_rule_sees_what_it_forbids():
    assert not may_import("ue", "radio") and not may_import("radio", "station")
    assert not may_import("kernel", "ue")
    assert not may_import("backends", "loop") and not may_import("loop", "api")
    assert may_import("backends", "ue") and may_import("studies", "api") and may_import("cli", "kernel")
    tree = ast.parse("def f():\n    from fl_simu.radio import link\n    import fl_simu.models as m")
    assert own(tree) == ["fl_simu.models", "fl_simu.radio", "fl_simu.radio.link"]


def test_no_cycle():
    graph = {name: [other for other in own(tree) if other != name] for name, tree in MODULES.items()}
    done, path = set(), []

    def visit(name):
        assert name not in path, "a cycle: " + " > ".join([*path[path.index(name) :], name])
        if name in done:
            return
        path.append(name)
        for other in graph[name]:
            # A module implicitly imports the packages that contain it; that is not a cycle.
            if not name.startswith(other + "."):
                visit(other)
        path.pop()
        done.add(name)

    for name in graph:
        visit(name)


@pytest.mark.parametrize("module", ["coordinator", "setting", "flight", "downloads", "cohorts", "state"])
def test_the_loop_knows_no_part_by_name(module):
    contracts = {
        "fl_simu.backends.base",
        "fl_simu.station.aggregation.base",
        "fl_simu.station.evaluation",
        "fl_simu.station.protocols.base",
        "fl_simu.station.selection.base",
        "fl_simu.station.server.base",
        "fl_simu.meters.base",
        "fl_simu.privacy.secure",
        "fl_simu.privacy.base",
        "fl_simu.ue.algorithms.base",
        "fl_simu.ue.compute",
        "fl_simu.ue.faults",
        "fl_simu.ue.training",
        "fl_simu.ue.transforms.base",
        "fl_simu.ue.work",
        "fl_simu.radio.allocation.base",
        "fl_simu.radio.bits",
        "fl_simu.radio.codecs.base",
        "fl_simu.radio.downlink",
        "fl_simu.radio.link",
        "fl_simu.radio.media.base",
    }
    parts = {"backends", "meters", "privacy", "station", "ue", "radio"}
    of_parts = {
        name for name in own(MODULES["fl_simu.loop." + module]) if top(name) in parts and name.count(".") > 1
    }
    assert of_parts <= contracts


@pytest.mark.parametrize("heavy", sorted(HEAVY))
def test_heavy_packages_are_imported_in_one_file_and_only_when_needed(heavy):
    def is_it(node):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
        return any(name.split(".")[0] == heavy for name in names)

    files = {}
    for module, tree in MODULES.items():
        nodes = list(ast.walk(tree))
        imports = {node for node in nodes if isinstance(node, (ast.Import, ast.ImportFrom)) and is_it(node)}
        if imports:
            functions = [node for node in nodes if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]
            inside = {node for function in functions for node in ast.walk(function)}
            files[module.replace("fl_simu.", "").replace(".", "/") + ".py"] = imports <= inside
    must_be_there = (PACKAGE / HEAVY[heavy]).exists()
    assert files == ({HEAVY[heavy]: True} if must_be_there else {})


def run_python(code):
    return subprocess.run([sys.executable, "-c", code], cwd=str(PACKAGE.parent), capture_output=True, text=True)


def test_importing_the_package_is_light():
    done = run_python("import sys, fl_simu; print(sorted({'torch', 'numpy', 'syft', 'ray'} & set(sys.modules)))")
    assert (done.stdout.strip(), done.stderr) == ("[]", "")


def test_importing_every_module_hooks_nothing():
    names = sorted(name for name in MODULES if name != "fl_simu.__main__")
    code = f"import importlib, sys\nfor name in {names}: importlib.import_module(name)"
    done = run_python(code + f"\nprint(sorted({set(HEAVY)} & set(sys.modules)))")
    assert done.stdout.strip() == "[]", done.stderr
