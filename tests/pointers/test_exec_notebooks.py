"""`exec` of notebooks: complete ones, skipped cells and lines, tracebacks, and files that are not notebooks."""

import json
from pathlib import Path

import pytest

PROGRAMS = Path(__file__).parent / "programs"


def notebook(*cells):
    """The text of a notebook with these code cells."""
    return json.dumps({"cells": [{"cell_type": "code", "source": cell.splitlines(True)} for cell in cells]})


def told(done):
    return [line[len("fl_simu: ") :] for line in done.stderr.splitlines() if line.startswith("fl_simu: ")]


def test_two_hospitals(run, mnist):
    """Shuffled batches, first weights, resized images and losses: every digit is real syft 0.2.4's."""
    text = (PROGRAMS / "two_hospitals.txt").read_text(encoding="utf-8")
    done = run(text, options=("--data-dir", mnist, "--limit", 64), name="two_hospitals.ipynb")
    assert done.returncode == 0, done.stderr
    assert done.stdout == (PROGRAMS / "two_hospitals.out").read_text(encoding="utf-8")
    assert told(done)[:6] == [
        "two_hospitals.ipynb, cell 1, line 1: left out: !pip install syft==0.2.4",
        "two_hospitals.ipynb, cell 1, line 8: left out: %matplotlib inline",
        "two_hospitals.ipynb, cell 4: left out: %%time",
        f"torchvision.datasets.MNIST: folder {mnist / 'mnist'}",
        "torchvision.datasets.MNIST: the first 64 of 60,000 training images, by --limit",
        "torchvision.datasets.MNIST: the first 64 of 10,000 test images, by --limit",
    ]


LEFT_OUT = (
    "%load_ext autoreload\nimport sys\nif True:\n    !pip install \\\n        torch\n"
    "%time x = 40 + 2\nfiles = !ls\nsys.argv?\ntext = '''\n!not a shell line\n''' \\\n   % ()\nx, text",
    "%%bash\nrm -r /",
    "%%timeit -n 1\ny = x + 1\nget_ipython().system('ls')\n"
    "get_ipython().run_line_magic('time', 'y += 1')\ndisplay(y)",
    "x;",
    "None",
)


def test_what_is_left_out(run):
    done = run(notebook(*LEFT_OUT), name="n.ipynb")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["(42, '\\n!not a shell line\\n')", "44"]
    assert told(done) == [
        "n.ipynb, cell 1, line 1: left out: %load_ext autoreload",
        "n.ipynb, cell 1, line 4: left out: !pip install \\",
        "n.ipynb, cell 1, line 6: left out: %time",
        "n.ipynb, cell 1, line 7: left out: files = !ls",
        "n.ipynb, cell 1, line 8: left out: sys.argv?",
        "n.ipynb, cell 2 is left out: %%bash",
        "n.ipynb, cell 3: left out: %%timeit -n 1",
        "left out: !ls",
    ]


def test_a_notebook_saved_as_a_script(run):
    """As Colab and nbconvert write them."""
    done = run(
        "!pip install syft\nimport syft\nget_ipython().run_line_magic('matplotlib', 'inline')\n"
        "print(1)\nprint('get_ipython' in globals())"
    )
    assert (done.returncode, done.stdout) == (0, "1\nTrue\n"), done.stderr
    assert run("print('get_ipython' in globals())").stdout == "False\n"


FAILS = (
    "import torch, syft\nhook = syft.TorchHook(torch)\nbob = syft.VirtualWorker(hook, id='bob')",
    "def add(a, b):\n    try:\n        return a + b\n    finally:\n        pass",
    "x = torch.ones(2).send(bob)\nadd(torch.nn.Sequential(torch.nn.Linear(2, 2))(torch.ones(3)), x)",
)


def test_tracebacks_have_the_users_lines(run):
    done = run(notebook(*FAILS), name="n.ipynb")
    assert done.returncode == 1
    lines = [line for line in done.stderr.splitlines() if not set(line) <= set(" ^~")]
    assert lines[-5:-1] == [
        "fl_simu: without the lines of installed packages; `exec --traceback` shows all",
        "Traceback (most recent call last):",
        '  File "n.ipynb", cell 3, line 2, in <module>',
        "    add(torch.nn.Sequential(torch.nn.Linear(2, 2))(torch.ones(3)), x)",
    ]
    assert lines[-1].startswith("RuntimeError: ")
    done = run(notebook(*FAILS), name="n.ipynb", options=("--traceback",))
    assert "modules/linear.py" in done.stderr and "exec_script" not in done.stderr
    done = run(notebook("pass", "def add(a, b):\n    return a + b", "\nadd(1, '')"), name="n.ipynb")
    lines = [line for line in done.stderr.splitlines() if not set(line) <= set(" ^~")]
    assert lines == [
        "Traceback (most recent call last):",
        '  File "n.ipynb", cell 3, line 2, in <module>',
        "    add(1, '')",
        '  File "n.ipynb", cell 2, line 2, in add',
        "    return a + b",
        "TypeError: unsupported operand type(s) for +: 'int' and 'str'",
    ]


def test_a_mistake_in_a_cell(run):
    done = run(notebook("print(1)", "%matplotlib inline\nx = (1 +"), name="n.ipynb")
    assert done.returncode == 1 and done.stdout == ""
    assert '  File "n.ipynb", cell 2, line 2' in done.stderr and "SyntaxError: " in done.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("a.json", '{"a": 1}', "a.json is neither Python nor a notebook: JSON without cells"),
        ("a.py", '{"a": 1}', "a.py is neither Python nor a notebook: JSON without cells"),
        ("a.txt", "Dear Sir", "a.txt is neither Python nor a notebook: line 1: invalid syntax"),
        ("a.pt", "\0\1", "a.pt is neither Python nor a notebook: it is no text"),
        ("a.ipynb", '{"cells": [', "a.ipynb is no notebook: Expecting value: line 1 column 12 (char 11)"),
        ("a.ipynb", '{"cells": [{"source": ""}]}', "a.ipynb is no notebook: a cell without its type or source"),
        ("a.ipynb", '{"cells": [{"cell_type": "markdown", "source": ""}]}', "a.ipynb has no cell of code"),
        (
            "a.ipynb",
            '{"cells": [], "metadata": {"kernelspec": {"language": "R"}}}',
            "a.ipynb is a notebook of R, and not of Python",
        ),
    ],
)
def test_neither_python_nor_a_notebook(name, text, told, run):
    done = run(text, name=name)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"fl_simu: {told}\n")
