"""How a process ends: by a batch system's signal or Ctrl-C, with its parent, or when its output is closed."""

import atexit
import contextlib
import os
import signal
import sys
import threading
from types import FrameType
from typing import Any, Dict, Iterator, List, Optional

# The signals that batch systems and closing terminals send.
SIGNALS = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))


class Stopped(KeyboardInterrupt):
    """A signal asked this process to end, like Ctrl-C."""


@contextlib.contextmanager
def stopped_by_signals() -> Iterator[List[int]]:
    """Let SIGTERM and SIGHUP raise `Stopped` in the main thread, once, so that the process shuts down cleanly.

    A signal that this process ignores, such as SIGHUP under `nohup`, stays ignored.

    Yields:
        The signals received so far.
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
    """End this process like `sys.exit`, but without Python's teardown of modules and objects: for torch alone it
    takes half a second."""
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and not thread.daemon:
            thread.join()
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        # If the reader is gone, `flush` has already reported it.
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(status)


@contextlib.contextmanager
def handlers_kept() -> Iterator[None]:
    """Restore the handlers of these signals after code that installs its own."""
    before = {one: signal.getsignal(one) for one in SIGNALS}
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            for one, handler in before.items():
                signal.signal(one, handler)


def end_with(line: Any) -> None:
    """Send SIGTERM to this process as soon as the process at the other end of a pipe has ended, for any reason.

    Args:
        line: the reading end of a multiprocessing pipe on which nothing is ever sent.
    """

    def watch() -> None:
        with contextlib.suppress(EOFError, OSError):
            line.recv_bytes()
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()


def open_closed_streams() -> None:
    """Open standard streams that were closed at the start, so that no file of a run gets their number."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            # The system assigns the lowest free number.
            os.open(os.devnull, os.O_RDWR)
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115


class OutputLost(Exception):
    """The standard output can no longer be written to."""

    def __init__(self, why: OSError) -> None:
        super().__init__(why.strerror or type(why).__name__)
        self.errno = why.errno


@contextlib.contextmanager
def output_watched(output: Any) -> Iterator[None]:
    """Raise an OSError inside as `OutputLost`, and discard the output that is not written yet.

    Args:
        output: the stream that is written to inside; nothing else may be written.
    """
    try:
        yield
    except OSError as error:
        # Otherwise the interpreter tries to write the rest at exit, and reports the failure in many lines.
        with contextlib.suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, output.fileno())
            os.close(nowhere)
        raise OutputLost(error) from None


def flush(output: Any) -> None:
    """Write a stream's buffered data.

    Raises:
        OutputLost: the data cannot be written.
    """
    with output_watched(output), contextlib.suppress(ValueError):
        output.flush()
