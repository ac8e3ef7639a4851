"""Shared by several test files: a small experiment, and `python -m fl_simu` in its own process."""

import importlib.util
import multiprocessing
import multiprocessing.forkserver
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from children import command
from hypothesis import settings

from fl_simu.backends import ray_actors
from fl_simu.backends.actor import Actor

# On a busy machine a first call may be slow; the total time of a test is limited elsewhere.
# The suite tries the same examples each time; `make fuzz` tries new ones, and more of them.
settings.register_profile("default", deadline=None, derandomize=True, max_examples=25)
settings.register_profile("fuzz", deadline=None, max_examples=200)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))

# A separate program, see `make fuzz`.
collect_ignore = ["fuzz"]

ROOT = Path(__file__).resolve().parent.parent
# It changes the modules that it imports, for forked processes.
collect_ignore = ["preloaded.py"]
FORKING = multiprocessing.get_context("forkserver")

# Digits for four UEs, three of them per round; takes a fraction of a second.
SMALL = """
name = "small"
seed = 3
rounds = 2
ues = 4
ues_per_round = 3
backend = { name = "torch", exact = true }
codec = { name = "affine", base_bits = 2, enhancement_bits = [2] }
channel = { name = "normal", mean_mbps = 2.0, std_mbps = 1.0 }
protocol = { name = "base_then_enhancement", receive_s = 0.08, wait_s = 0.06 }
model = { name = "mlp", hidden = [16], dropout = 0.2 }
optimizer = { name = "sgd", lr = 0.05, momentum = 0.9 }
data = { name = "digits", train_samples = 400, test_samples = 100 }

[training]
batch_size = 32
keep_optimizer_state = true
"""


@pytest.fixture
def small(tmp_path):
    """Path of the small experiment's TOML file."""
    path = tmp_path / "small.toml"
    path.write_text(SMALL)
    return path


@pytest.fixture(autouse=True)
def no_figures(request, monkeypatch):
    """Runs draw figures only in tests marked `figures`: figures take longer than a small run."""
    if request.node.get_closest_marker("figures") is None:
        monkeypatch.setattr("fl_simu.loop.closing.draw_figures", lambda *anything: [])


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """All tests that need Ray go to one worker: starting Ray takes seconds and 0.3 GB."""
    for item in items:
        parameters = item.callspec.params.values() if hasattr(item, "callspec") else ()
        if "running_ray" in getattr(item, "fixturenames", ()) or "ray" in map(str, parameters):
            item.add_marker(pytest.mark.xdist_group("ray"))


@pytest.fixture(scope="session")
def running_ray():
    """The ray module, connected to a Ray with two cores that all tests of this process share."""
    if importlib.util.find_spec("ray") is None:
        pytest.skip("needs the extra ray")
    cluster = ray_actors.Cluster(ray_actors.LOCAL, cores=2, store_bytes=2**28)
    yield cluster.ray
    cluster.close()


@pytest.fixture(scope="session")
def idle_actors(running_ray):
    """Two actors that serve one backend after another."""

    # Inside a function: actors cannot import this file.
    class Again(Actor):
        def __init__(self):
            pass

        def begin(self, *arguments):
            Actor.__init__(self, *arguments)

    return [running_ray.remote(Again).options(num_cpus=0).remote() for _ in range(2)]


@pytest.fixture
def reused_actors(running_ray, idle_actors, monkeypatch):
    """Backends on Ray reuse existing actors: starting one takes seconds."""

    def start(hand):
        hand._actor, hand._held = idle_actors.pop(), 0
        running_ray.get(hand._actor.begin.remote(hand._training, torch.__version__))

    def let_go(hand):
        if hand._actor is not None:
            idle_actors.append(hand._actor)
            hand._actor = None

    monkeypatch.setattr(ray_actors._Hand, "start_worker", start)
    monkeypatch.setattr(ray_actors._Hand, "let_go", let_go)


@pytest.fixture(scope="session")
def forked():
    """A multiprocessing context whose processes have imported the modules of tests/preloaded.py."""
    FORKING.set_forkserver_preload(["preloaded"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT / "tests"), str(ROOT)]))
        multiprocessing.forkserver.ensure_running()
    return FORKING


@pytest.fixture(autouse=True)
def no_new_interpreters(request, monkeypatch):
    """Processes of a pool or a script are forked from a server: a new process takes seconds to import torch."""
    monkeypatch.setattr(multiprocessing, "get_context", lambda method=None: request.getfixturevalue("forked"))


@pytest.fixture
def environment(tmp_path):
    """Environment of a subprocess: this checkout, one thread, no data set and no network."""
    changed = dict(
        os.environ,
        PYTHONPATH=str(ROOT),
        PYTHONWARNINGS="ignore",
        OMP_NUM_THREADS="1",
        XDG_CACHE_HOME=str(tmp_path / "cache"),
        NO_PROXY="*",
        no_proxy="*",
    )
    changed.pop("FL_SIMU_DATA", None)
    return changed


@pytest.fixture
def fl_simu_forked(tmp_path, tmp_path_factory, environment, forked):
    """Runs a command of fl_simu in an empty folder and its own process, and waits for its end."""

    def start(*arguments):
        outputs = [tmp_path_factory.mktemp("said") / name for name in ("stdout", "stderr")]
        given = list(map(str, arguments)), str(tmp_path), environment, *map(str, outputs)
        process = forked.Process(target=command, args=given)
        process.start()
        process.join(240)
        said = [path.read_text(encoding="utf-8") for path in outputs]
        return subprocess.CompletedProcess(arguments, process.exitcode, *said)

    return start


@pytest.fixture
def fl_simu_process(tmp_path, environment):
    """Runs `python -m fl_simu` (or other arguments of python) in an empty folder, and waits for its end."""

    def start(*arguments, python=("-m", "fl_simu")):
        return subprocess.run(
            [sys.executable, *python, *map(str, arguments)],
            cwd=str(tmp_path),
            env=environment,
            capture_output=True,
            text=True,
            timeout=240,
        )

    return start
