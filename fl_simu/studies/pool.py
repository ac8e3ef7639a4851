"""Jobs shared out to worker processes."""

import contextlib
import multiprocessing
import os
import signal
import traceback
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any, Callable, Dict, List, Sequence, cast

from fl_simu.kernel.ending import end_with, stopped_by_signals
from fl_simu.kernel.errors import UserError, brief, one_line
from fl_simu.kernel.machine import LIMIT, cores
from fl_simu.results.files import make_folder, write_text

Say = Callable[[str], None]

TRACEBACK, MOST_JOBS = "traceback.txt", 1000


def run_all(todo: Sequence[Any], at_a_time: int, work: Callable[[Any], str], say: Say, folder: Path) -> None:
    """Share jobs out to worker processes; however this ends, none of the processes is left.

    Args:
        todo: the jobs, which must pickle.
        at_a_time: number of processes, at least 1.
        work: does one job and tells in a line what came of it. Must pickle; each process has a copy of its own,
            which may keep something from job to job. What a job leaves behind it writes itself.
        say: prints a line.
        folder: where the traceback goes of a job that failed for a bug.

    Raises:
        UserError: a job failed, or a process was killed.
    """
    context, waiting, ended = multiprocessing.get_context("spawn"), list(todo), 0
    workers: Dict[Any, Any] = {}
    share = max(1, cores() // at_a_time)
    # Where this process is killed, nobody holds the other end, by which the workers know.
    line, held = context.Pipe(duplex=False)
    try:
        for _ in range(min(at_a_time, len(todo))):
            here, there = context.Pipe()
            workers[here] = context.Process(target=_serve, args=(there, work, line, share))
            workers[here].start()
            there.close()
            here.send(waiting.pop(0))
        while workers:
            for pipe in cast(List[Any], wait(list(workers))):
                ended += 1
                say(f"[{ended} of {len(todo)}] {_answer(pipe, workers[pipe], folder)}")
                if waiting:
                    pipe.send(waiting.pop(0))
                else:
                    pipe.close()
                    workers.pop(pipe).join()
    finally:
        for process in workers.values():
            if process.pid is not None:  # it was started
                process.terminate()
                process.join()
        line.close()
        held.close()


def _answer(pipe: Any, process: Any, folder: Path) -> str:
    try:
        told, error, trace = pipe.recv()
    except (EOFError, ConnectionResetError):
        process.join()
        raise UserError(f"a worker process {ended_how(process.exitcode)}; the same command goes on") from None
    if trace:
        write_text(make_folder(folder) / TRACEBACK, trace)
        raise UserError(f"a job failed: {error}; {folder / TRACEBACK} tells where")
    if error:
        raise UserError(error)
    return told


def ended_how(status: int) -> str:
    """What became of a process that ended without an answer."""
    if status == -signal.SIGKILL:
        return "was killed (out of memory?)"
    return f"was ended by signal {-status}" if status < 0 else f"ended with status {status}"


def _serve(pipe: Any, work: Callable[[Any], str], line: Any, share: int) -> None:
    """Do the jobs that come through a pipe, each on its share of the cores, until its other end is gone.

    Answer (what came of it, the error, and the traceback of one that is no mistake of the user's).
    """
    # Ctrl-C goes to the whole group; the process that shares the jobs out ends this one, or dies.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with contextlib.suppress(EOFError, BrokenPipeError, KeyboardInterrupt), stopped_by_signals():
        end_with(line)
        os.environ[LIMIT] = str(share)
        while True:
            job = pipe.recv()
            try:
                answer = work(job), "", ""
            except UserError as error:
                answer = "", str(error), ""
            except MemoryError as error:
                answer = "", brief(one_line(f"out of memory: {error}"), 200), ""
            except Exception as error:
                answer = "", brief(one_line(f"{type(error).__name__}: {error}"), 200), traceback.format_exc()
            pipe.send(answer)
