"""How a process ends: by a signal of a batch system as by Ctrl-C, with its parent, or with its output gone."""

import atexit
import contextlib
import os
import signal
import sys
import threading
from types import FrameType
from typing import Any, Dict, Iterator, List, Optional

# What batch systems, and terminals that are closed, send.
SIGNALS = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))


class Stopped(KeyboardInterrupt):
    """A signal asks this process to end, as Ctrl-C does."""


@contextlib.contextmanager
def stopped_by_signals() -> Iterator[List[int]]:
    """Let SIGTERM and SIGHUP raise `Stopped` in the main thread, once, so that everything ends in order.

    What this process ignores, as `nohup` has it ignore SIGHUP, it goes on to ignore.

    Yields:
        The signals that have come.
    """
    came: List[int] = []

    def stop(number: int, frame: Optional[FrameType]) -> None:
        came.append(number)
        for one in before:
            signal.signal(one, signal.SIG_IGN)
        raise Stopped

    before: Dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():
        before = {one: signal.SIG_DFL for one in SIGNALS if signal.getsignal(one) is signal.SIG_DFL}
    for one in before:
        signal.signal(one, stop)
    try:
        yield came
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)


def end_at_once(status: int) -> None:
    """End this process as `sys.exit` does, but let the system have what it has imported and holds: to take torch
    apart takes half a second."""
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and not thread.daemon:
            thread.join()
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        # Where nobody reads them any longer, `flush` has said so.
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(status)


@contextlib.contextmanager
def handlers_kept() -> Iterator[None]:
    """Put the handlers of these signals back after something that installs its own."""
    before = {one: signal.getsignal(one) for one in SIGNALS}
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            for one, handler in before.items():
                signal.signal(one, handler)


def end_with(line: Any) -> None:
    """Let SIGTERM end this process as soon as the one at the other end of a line has ended, however that did.

    Args:
        line: the reading end of a pipe of multiprocessing, on which nothing is ever sent.
    """

    def watch() -> None:
        with contextlib.suppress(EOFError, OSError):
            line.recv_bytes()
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()


def open_closed_streams() -> None:
    """Open what this process was started without, so that no file of a run becomes its output."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            # The lowest number that is free is given.
            os.open(os.devnull, os.O_RDWR)
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115


class OutputLost(Exception):
    """Nothing can be written to the standard output any longer."""

    def __init__(self, why: OSError) -> None:
        super().__init__(why.strerror or type(why).__name__)
        self.errno = why.errno


@contextlib.contextmanager
def output_watched(output: Any) -> Iterator[None]:
    """Tell what fails inside as `OutputLost`, and throw away what is not written yet.

    Args:
        output: a stream that is written to inside, and nothing else.
    """
    try:
        yield
    except OSError as error:
        # At the exit of the interpreter what is left would be tried again, in many lines.
        with contextlib.suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, output.fileno())
            os.close(nowhere)
        raise OutputLost(error) from None


def flush(output: Any) -> None:
    """Write what a stream still holds.

    Raises:
        OutputLost: that is not possible.
    """
    with output_watched(output), contextlib.suppress(ValueError):
        output.flush()
