"""`exec`: complete, unmodified programs of the notes, and a script's environment as in plain Python."""

import math
import re
from pathlib import Path

import pytest
import torch
from pointer_suite import printed

from fl_simu.kernel.installation import syft_installed

PROGRAMS = Path(__file__).parent / "programs"
SEEDED = "import torch; torch.manual_seed(0)\n"
# Only the first images of MNIST, which in these tests are made up.
SMALL = """import torchvision.datasets as _datasets
class _Small(_datasets.MNIST):
    def __len__(self):
        return 96
_datasets.MNIST = _Small
"""
ours_only = pytest.mark.skipif(syft_installed(), reason="fl_simu.pointers runs on torch 2.5 or newer")


def program(name):
    return (PROGRAMS / f"{name}.txt").read_text(encoding="utf-8")


def test_four_points(run):
    """The same losses from both stacks; every digit is real syft 0.2.4's."""
    done = run(SEEDED + program("four_points"))
    lines = done.stdout.splitlines()
    assert done.returncode == 0, done.stderr
    assert printed(lines[0]) == (
        "[((Wrapper)>[PointerTensor | me:# -> bob:#], (Wrapper)>[PointerTensor | me:# -> bob:#]), "
        "((Wrapper)>[PointerTensor | me:# -> alice:#], (Wrapper)>[PointerTensor | me:# -> alice:#])]"
    )
    assert len(lines) == 43 and lines[1:3] == ["tensor(0.3798)", "tensor(3.2280)"]
    assert lines[40:] == [
        "tensor(0.0136)",
        "weight \t tensor([[ 1.2387, -0.1097]])",
        "bias \t tensor([-0.0604])",
    ]


def test_basic_functions(run):
    # The last part uses a worker that the notes create elsewhere.
    done = run(program("basic_functions").replace("qin", "kong"))
    assert done.returncode == 0, done.stderr
    assert printed(done.stdout).splitlines() == [
        "(Wrapper)>[PointerTensor | me:# -> kong:#]",
        "{#: tensor([0, 1, 2, 1, 2])}",
        "tensor([0, 1, 2, 1, 2])",
        "{}",
        "(Wrapper)>[PointerTensor | me:# -> kong:#]",
    ]


def test_mnist(run, mnist, tmp_path):
    done = run(SMALL + program("mnist").replace("'epochs': 10", "'epochs': 1"), options=("--data-dir", mnist))
    assert done.returncode == 0, done.stderr
    assert re.search(r"Train Epoch:1\[0/128\(0\.000000%\)\]\tLoss:2\.\d{6}", done.stdout)
    assert re.search(r"Test set: Average loss: \d\.\d{4}, Accuracy: \d+/96", done.stdout)
    assert f"torchvision.datasets.MNIST: folder {mnist / 'mnist'}\n" in done.stderr
    assert (tmp_path / "mnist_cnn.pt").exists()


def test_manual_aggregation(run, mnist):
    done = run(SMALL + program("manual_aggregation"), options=("--data-dir", mnist))
    assert done.returncode == 0, done.stderr
    losses = re.findall(r"user\d Loss:(\d\.\d{6})", done.stdout)
    assert len(losses) == 4 and len(set(losses)) == 1, "the four users start from one model and see one batch"
    assert "函数do花费时间" in done.stdout and "model5 Test set" in done.stdout
    assert "spaces that Python does not take" in done.stderr


SECRET = (
    "(Wrapper)>FixedPrecisionTensor>[AdditiveSharingTensor]",
    "\t-> [PointerTensor | me:# -> north:#]",
    "\t-> [PointerTensor | me:# -> south:#]",
)


def test_secret_averages(run):
    """Every line is real syft 0.2.4's, including the numbers of objects at the workers."""
    done = run(program("secret_averages"))
    assert done.returncode == 0, done.stderr
    assert printed(done.stdout).splitlines() == [
        "[4, 4, 0]",
        "round 0 losses 1.7266 7.6953 [6, 6, 0]",
        "south torch.Size([1, 2]) " + SECRET[0], *SECRET[1:],
        "\t*crypto provider: dealer* ['north', 'south'] [9, 10, 0]",
        "south torch.Size([1]) " + SECRET[0], *SECRET[1:],
        "\t*crypto provider: dealer* ['north', 'south'] [9, 10, 0]",
        "tensor([[0.4025, 0.0750]]) tensor([-0.1495])",
        "round 1 losses 13.1278 10.9710 [8, 9, 0]",
        "tensor([[1.1140, 0.1995]]) tensor([0.1605])",
        "round 2 losses 0.5656 4.6441 [8, 9, 0]",
        "tensor([[1.2125, 0.0385]]) tensor([0.1000])",
        "round 3 losses 4.5409 1.4913 [8, 9, 0]",
        "tensor([[1.4875, 0.0020]]) tensor([0.2160])",
        "round 4 losses 0.3014 2.6380 [8, 9, 0]",
        "tensor([[ 1.5570, -0.1235]]) tensor([0.1625])",
        "round 5 losses 2.2539 0.4522 [8, 9, 0]",
        "tensor([[ 1.6825, -0.1935]]) tensor([0.2130])",
        *SECRET, "\t*crypto provider: dealer*",
        "[2, 2, 0]",
        "Parameter>FixedPrecisionTensor>tensor([213])",
        "Parameter containing:",
        "tensor([[ 1.6820, -0.1930]], requires_grad=True) [0, 0, 0]",
        "0.8843",
        "(Wrapper)>[AdditiveSharingTensor]", *SECRET[1:], "\t-> [PointerTensor | me:# -> dealer:#]",
        "\t*crypto provider: me*",
        "tensor([287]) tensor([182]) [3, 3, 3]",
    ]  # fmt: skip


def test_trusted_aggregator(run):
    """Every line is real syft 0.2.4's."""
    done = run(program("trusted_aggregator"))
    assert done.returncode == 0, done.stderr
    moved = "(Wrapper)>[PointerTensor | me:# -> notary:#] notary 4 2"
    assert printed(done.stdout).splitlines() == [
        "(Wrapper)>[PointerTensor | me:# -> hill:#] 2 2",
        moved, "hill 0.0003 valley 0.1971 tensor([[0.3717, 0.4229]]) tensor([0.4304])",
        moved, "hill 0.0002 valley 0.0095 tensor([[0.3757, 0.4398]]) tensor([0.3776])",
        moved, "hill 0.0000 valley 0.0095 tensor([[0.3966, 0.4592]]) tensor([0.3570])",
        moved, "hill 0.0001 valley 0.0078 tensor([[0.4177, 0.4703]]) tensor([0.3389])",
        "0.0248",
    ]  # fmt: skip


SURROUNDINGS = """
from __future__ import print_function
import argparse
import os
import sys
import helper
import syft as sy
import torch
from syft.frameworks.torch.fl import utils
from syft.federated.floptimizer import Optims
from syft.workers.virtual import VirtualWorker
from syft.workers.websocket_client import WebsocketClientWorker
import syft.frameworks.torch.hook.hook

parser = argparse.ArgumentParser()
parser.add_argument("--rounds", type=int, default=1)
parser.add_argument("--fail", action="store_true")
options = parser.parse_args()
print(__name__, options.rounds, sys.argv, os.path.basename(__file__), helper.NAME)
print(sys.path[0] == os.path.dirname(os.path.abspath(__file__)), sy.__version__, VirtualWorker is sy.VirtualWorker)
print(sys.modules["__main__"].options is options, utils.federated_avg.__name__, Optims.__name__)
def fail():
    raise ValueError("on purpose")
if options.fail:
    fail()
sys.exit(options.rounds)
"""


def test_surroundings(run, run_anew, tmp_path):
    (tmp_path / "helper.py").write_text("NAME = 'found'")
    done = run_anew(SURROUNDINGS, "--rounds", "3")
    assert done.returncode == 3, done.stderr
    assert done.stdout.splitlines() == [
        "__main__ 3 ['script.py', '--rounds', '3'] script.py found",
        "True 0.2.4 True",
        "True federated_avg Optims",
    ]
    done = run(SURROUNDINGS, "--fail")
    assert done.returncode == 1
    assert "exec_script" not in done.stderr
    trace = done.stderr[done.stderr.index("Traceback") :].splitlines()
    assert trace[1].strip().startswith('File "script.py", line ') and trace[1].endswith("in <module>")
    assert trace[-1] == "ValueError: on purpose"


@pytest.mark.parametrize(
    ("script", "status", "told"),
    [("raise SystemExit('that is all')", 1, "that is all"), ("1 +", 1, "SyntaxError: invalid syntax")],
)
def test_exit_statuses(script, status, told, run):
    done = run(script)
    assert done.returncode == status and told in done.stderr


def test_no_such_script(fl_simu_forked):
    done = fl_simu_forked("exec", "nowhere.py")
    assert done.returncode == 2
    assert done.stderr.startswith("fl_simu: ") and "nowhere.py" in done.stderr and done.stderr.count("\n") == 1


@ours_only
def test_strict(run):
    text = """
import syft, torch
hook = syft.TorchHook(torch)
bob = syft.VirtualWorker(hook, id="bob")
print(torch.ones(2, 3).send(bob).size())
"""
    assert run(text, options=("--strict",)).stdout == "torch.Size([0])\n"
    done = run(text)
    assert done.stdout == "torch.Size([2, 3])\n" and "ptr.size() is the size at the worker" in done.stderr


HABITS = """
import collections, time, torch
import numpy as np
from collections import Iterable
from torch._six import string_classes
from torch.utils.data import DataLoader
assert np.float is float and np.int is int and np.Inf > 1 and np.float_(1) == 1
assert isinstance([], Iterable) and isinstance("", string_classes) and time.clock() >= 0
assert repr([np.mean([0, 1]), {"hit": np.int64(3) == 3}]) == "[0.5, {'hit': True}]"
assert iter(DataLoader([1])).next().item() == 1
model = torch.nn.Linear(1, 1)
import io
buffer = io.BytesIO()
torch.save(model, buffer)
assert torch.equal(torch.load(io.BytesIO(buffer.getvalue())).weight, model.weight)
with open("by_handle.pt", "wb") as file:
    torch.save(model, file)
with open("by_handle.pt", "rb") as file:
    assert torch.equal(torch.load(file).weight, model.weight)
torch.save(model, "own.pt")
assert torch.equal(torch.load("own.pt").weight, model.weight)
from PIL import Image
assert Image.new("L", (4, 4)).resize((2, 2), Image.ANTIALIAS).size == (2, 2)
torch.load("other.pt")
"""


@ours_only
def test_old_habits(run, tmp_path):
    torch.save(torch.nn.Linear(1, 1), str(tmp_path / "other.pt"))
    done = run(HABITS)
    told = [line for line in done.stderr.splitlines() if line.startswith("fl_simu: ")]
    assert told[-2] == "fl_simu: PIL.Image.ANTIALIAS is gone; it stands for PIL.Image.LANCZOS"
    del told[-2]
    assert [line.split(" is gone")[0] for line in told[:-4]] == [
        "fl_simu: collections.Iterable", "fl_simu: numpy.float", "fl_simu: numpy.int", "fl_simu: numpy.Inf",
        "fl_simu: numpy.float_", "fl_simu: time.clock", "fl_simu: iterator.next() of a DataLoader",
    ]  # fmt: skip
    assert told[-4:-1] == [
        f"fl_simu: torch.load takes more than weights out of {source}, which this script saved itself"
        for source in ("a buffer", "by_handle.pt", "own.pt")
    ]
    assert "UnpicklingError" in done.stderr, "a file from elsewhere is not trusted"


TRANSFORMS = """
import torch
from torchvision import datasets, transforms
steps = transforms.Compose([transforms.ToTensor(), transforms.Normalize((0.5,), (0.25,))])
plain, scaled = (datasets.MNIST("nowhere", transform=t) for t in (transforms.ToTensor(), steps))
image, label = plain[3]
assert image.dtype == torch.float32 and tuple(image.shape) == (1, 28, 28) and type(label) is int
assert torch.allclose(image[0] * 255, plain.data[3].float()) and plain.targets[3].item() == label
assert torch.allclose(scaled[3][0], (image - 0.5) / 0.25)
assert len(datasets.MNIST("nowhere", train=False)) == 96
"""


def test_transforms(run, mnist):
    done = run(SMALL + TRANSFORMS, options=("--data-dir", mnist))
    assert done.returncode == 0, done.stderr


@ours_only
def test_install(run):
    done = run(
        "import fl_simu.pointers as pointers\npointers.install()\nimport syft\nfrom syft import PointerTensor\n"
        "assert PointerTensor is pointers.PointerTensor and syft.local_worker is None"
    )
    assert done.returncode == 0, done.stderr


def test_the_loop_of_the_page_trains(run, mnist):
    """It is next to the config that `test_readme.py` plans."""
    page = (Path(__file__).resolve().parents[2] / "docs" / "pointers.md").read_text(encoding="utf-8")
    done = run(page.split("```python\n")[1].split("```")[0], options=("--data-dir", mnist, "--limit", "320"))
    assert done.returncode == 0, done.stderr
    # Images and labels are independent, so the loss is about the entropy of ten classes, and not less.
    losses = [float(line.split()[-1]) for line in done.stdout.splitlines()]
    assert losses == pytest.approx([math.log(10)] * 3, abs=0.1)
