"""A process that is forked early and from then on forks the worker processes.

Everything that workers need exists before it is forked. Later, this process has threads, and a fork of it might
find a lock held by a thread that the fork does not have. The nursery has no threads.
"""

import contextlib
import os
import signal
import sys
import threading
import traceback
import warnings
from functools import partial
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from multiprocessing.reduction import recv_handle, send_handle
from typing import Any, Callable, Dict, Optional

from fl_simu.kernel.errors import one_line

OOM_ADDEND = 500


class Nursery:
    """Forks workers, and ends them.

    The nursery and all workers end with this process, however it ends: nothing is left behind.

    Args:
        prepare: called once, before any worker is forked.
        serve: run by a worker with its end of a pipe and its number; the worker ends when it returns.
    """

    def __init__(self, prepare: Callable[[], None], serve: Callable[[Any, int], None]) -> None:
        self._asked = threading.Lock()
        # Process ids: of the nursery, and of each worker by its number.
        self.workers: Dict[int, int] = {}
        self._line, there = Pipe()
        self.process = fork(lambda: _rear(there, prepare, serve), keep=there.fileno())
        there.close()

    def fork(self, number: int) -> Any:
        """Fork a worker; returns a pipe to it.

        Raises:
            OSError: the system has no room for another process.
            RuntimeError: the worker cannot be forked for another reason.
        """
        here, there = Pipe()
        error: Optional[Exception]
        with self._asked:
            try:
                self._line.send(("fork", number))
                send_handle(self._line, there.fileno(), self.process)
                error, self.workers[number] = self._line.recv()
            except (EOFError, OSError):
                error = RuntimeError("the process that forks them has ended")
            finally:
                there.close()
        if error:
            here.close()
            raise error
        return here

    def end(self, number: int) -> Optional[int]:
        """End the worker with this number, if there is one, whatever it is doing.

        Returns:
            Its exit status, or minus the number of the signal that ended it; None if there was none.
        """
        # If the nursery is gone, its workers end as soon as nobody can send them calls.
        with self._asked, contextlib.suppress(EOFError, OSError):
            self._line.send(("end", number))
            return self._line.recv()
        return None

    def close(self) -> None:
        """End the nursery and all workers."""
        self._line.close()
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self.process, 0)


def fork(work: Callable[[], None], keep: int) -> int:
    """Run a function in a fork of this process, which ends with it; returns the process id of the fork.

    Args:
        work: the function.
        keep: the only file that the fork keeps open, apart from its output.
    """
    with warnings.catch_warnings():
        # Newer Pythons warn if this process has threads, as in a notebook.
        warnings.simplefilter("ignore", DeprecationWarning)
        process = os.fork()
    if process:
        return process
    status = 1
    try:
        # Ctrl-C, batch systems and a closed terminal signal the whole group. This process ends when the process
        # that gives it work ends it, or dies.
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        _close_files(keep)
        # The former streams may belong to a notebook, and write to a file that is now closed.
        sys.stdout, sys.stderr = (open(number, "w", closefd=False) for number in (1, 2))  # noqa: SIM115
        work()
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


def _close_files(keep: int) -> None:
    """Close the files that another process has open, such as the lock of a run's folder."""
    os.dup2(os.open(os.devnull, os.O_RDWR), 0)
    for number in map(int, os.listdir("/proc/self/fd")):
        if number > 2 and number != keep:
            with contextlib.suppress(OSError):
                os.close(number)


def _rear(line: Connection, prepare: Callable[[], None], serve: Callable[[Any, int], None]) -> None:
    """Fork and end workers on request, until no more requests can come."""
    workers: Dict[int, int] = {}
    unprepared: Optional[Exception] = None
    try:
        prepare()
    except Exception as failed:
        # Not every error can be sent through a pipe.
        kind = MemoryError if isinstance(failed, MemoryError) else RuntimeError
        unprepared = kind(one_line(f"{type(failed).__name__}: {failed}"))
    with contextlib.suppress(EOFError, OSError):
        while True:
            wish, number = line.recv()
            if wish == "fork":
                handle, error = recv_handle(line), unprepared
                if not error:
                    try:
                        workers[number] = fork(partial(_serve, serve, handle, number), keep=handle)
                    except OSError as failed:
                        error = failed
                os.close(handle)
                line.send((error, workers.get(number, 0)))
            else:
                line.send(_end(workers, number))
    for number in list(workers):
        _end(workers, number)


def _serve(serve: Callable[[Any, int], None], handle: int, number: int) -> None:
    _die_first()
    serve(Connection(handle), number)


def _die_first() -> None:
    """Let the kernel kill this process before the one that gives it work: that one may be larger, can get another
    worker, and can report what happened.

    Reference: Linux, proc_pid_oom_score_adj(5): an addend in thousandths of the available memory.
    """
    with contextlib.suppress(OSError, ValueError), open("/proc/self/oom_score_adj", "r+") as file:
        before = int(file.read())
        file.seek(0)
        file.write(str(min(1000, before + OOM_ADDEND)))


def _end(workers: Dict[int, int], number: int) -> Optional[int]:
    process = workers.pop(number, None)
    if process is None:
        return None
    # A process that has already begun to end keeps its own exit status.
    with contextlib.suppress(ProcessLookupError):
        os.kill(process, signal.SIGKILL)
    _, status = os.waitpid(process, 0)
    return -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
