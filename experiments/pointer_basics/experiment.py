"""A tour of pointers: send, remote addition, get, gradients, and the objects that a worker holds.

Reference: notes, PySyft basics, "getting started" and "basic functions". Each line is compared with the notes'.
Ids are random, so # replaces them.
"""

import re
from typing import Any, Callable, List, Optional

import torch

from fl_simu.results.comparisons import Comparison
from fl_simu.results.files import write_text
from fl_simu.studies.script import Setup

NEEDS_SYFT = True

POINTER_BOB = "(Wrapper)>[PointerTensor | me:# -> bob:#]"
POINTER_KONG = "(Wrapper)>[PointerTensor | me:# -> kong:#]"

# The name of a line, the notes' line (None if they do not print it), and the arguments of print.
Show = Callable[..., None]


def without_ids(text: str) -> str:
    """The text with # for each id."""
    return re.sub(r"(?<=\w:)\d+|\d+(?=: tensor)", "#", text)


def getting_started(sy: Any, hook: Any, show: Show) -> None:
    bob = sy.VirtualWorker(hook, id="bob")
    show("bob at first", None, bob._objects)

    x = torch.tensor([1, 2, 3, 4, 5])
    y = torch.tensor([1, 1, 1, 1, 1])
    x_ptr = x.send(bob)
    y_ptr = y.send(bob)
    held = "{#: tensor([1, 2, 3, 4, 5]), #: tensor([1, 1, 1, 1, 1])}"
    show("bob after send", f"bob._objects =  {held} after send", "bob._objects = ", bob._objects, "after send")

    z = x_ptr + y_ptr
    show("sum of two pointers", "z =  " + POINTER_BOB, "z = ", z)
    show("bob after the sum", None, bob._objects)
    del x_ptr, y_ptr, z
    show("bob after the pointers are deleted", None, bob._objects)

    x = torch.tensor([1, 2, 3, 4, 5]).send(bob)
    y = torch.tensor([1, 1, 1, 1, 1]).send(bob)
    z = x + y
    show("sum of tensors sent on creation", POINTER_BOB, z)
    show("get", "tensor([2, 3, 4, 5, 6])", z.get())
    show("bob after get", None, bob._objects)


def gradients(sy: Any, hook: Any, show: Show) -> None:
    bob = sy.VirtualWorker(hook, id="bob")
    x = torch.tensor([1, 2, 3, 4, 5.0], requires_grad=True).send(bob)
    y = torch.tensor([1, 1, 1, 1, 1.0], requires_grad=True).send(bob)
    z = (x + y).sum()
    z.backward()
    show("gradient of x after one backward", None, x.grad.copy().get())
    show("sum with a gradient", POINTER_BOB, z)
    answer = z.backward()
    show("backward a second time", POINTER_BOB, answer)
    show("result of backward, fetched", None, told(lambda: answer.get()))
    show("gradient of x", POINTER_BOB + "::grad", x.grad)
    show("gradient of x after two", None, x.grad.copy().get())


def basic_functions(sy: Any, hook: Any, show: Show) -> None:
    kong = sy.VirtualWorker(hook=hook, id="kong")

    data = torch.tensor([0, 1, 2, 1, 2])
    data_ptr = data.send(kong)
    show("pointer to a tensor at kong", POINTER_KONG, data_ptr)
    show("kong after send", "{#: tensor([0, 1, 2, 1, 2])}", kong._objects)

    data = data_ptr.get()
    show("get from kong", "tensor([0, 1, 2, 1, 2])", data)
    show("kong after get", "{}", kong._objects)
    show("the pointer after get", None, told(lambda: data_ptr.get()))

    a = torch.tensor([3.14, 6.28]).send(kong)
    b = torch.tensor([6.14, 3.28]).send(kong)
    c = a + b
    show("sum at kong", POINTER_KONG, c)
    show("sum at kong, fetched", None, c.get())

    # The notes send these two to `qin`, a worker that they create only later.
    train = torch.tensor([2.4, 6.2], requires_grad=True).send(kong)
    label = torch.tensor([2, 6.0]).send(kong)
    loss = (train - label).abs().sum()
    loss.backward()
    train = train.get()
    show("train, fetched", "tensor([2.4000, 6.2000], requires_grad=True)", train)
    show("gradient of train, fetched with it", "tensor([1., 1.])", train.grad)


def told(action: Callable[[], Any]) -> str:
    """The result of an action, or the name of the exception that it raises."""
    try:
        return str(action())
    except Exception as error:
        return type(error).__name__


def reproduce(setup: Setup) -> List[Comparison]:
    import syft as sy

    hook = sy.TorchHook(torch)
    comparisons, printed = [], []

    def show(what: str, notes: Optional[str], *words: Any) -> None:
        text = " ".join(map(str, words))
        printed.append(f"{what}\n    {text}\n")
        comparisons.append(Comparison(what, notes, without_ids(text)))

    show("version of syft", "0.2.4", sy.version.__version__)
    for part in (getting_started, gradients, basic_functions):
        part(sy, hook, show)
    write_text(setup.out / "printed.txt", "".join(printed))
    return comparisons
