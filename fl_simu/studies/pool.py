"""Distributes jobs to worker processes."""

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
    """Distribute jobs to worker processes; no worker process remains afterwards, even after an error.

    Args:
        todo: the jobs, which must be picklable.
        at_a_time: number of processes, at least 1.
        work: does one job, writes its results, and returns one line about them. It must be picklable. Each process
            has its own copy, which may keep state between jobs.
        say: prints a line.
        folder: the folder for the traceback of a job that failed because of a bug.

    Raises:
        UserError: a job failed, or a process was killed.
    """
    context, waiting, ended = multiprocessing.get_context("spawn"), list(todo), 0
    workers: Dict[Any, Any] = {}
    share = max(1, cores() // at_a_time)
    # If this process is killed, the other end of the pipe closes, which tells the workers to stop.
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
    """How a process ended that gave no answer."""
    if status == -signal.SIGKILL:
        return "was killed (out of memory?)"
    return f"was ended by signal {-status}" if status < 0 else f"ended with status {status}"


def _serve(pipe: Any, work: Callable[[Any], str], line: Any, share: int) -> None:
    """Do the jobs that arrive through a pipe, each on its share of the cores, until the other end closes.

    The answer to each is (line about the job, error, traceback unless the user made a mistake).
    """
    # Ctrl-C reaches the whole process group; the main process then terminates this one, or dies.
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
