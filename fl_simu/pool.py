"""Jobs shared out to worker processes."""

import contextlib
import multiprocessing
import os
import signal
from multiprocessing.connection import wait
from typing import Any, Callable, Dict, List, Sequence, cast

from fl_simu.kernel.ending import end_with, stopped_by_signals
from fl_simu.kernel.errors import UserError

Say = Callable[[str], None]


def run_all(todo: Sequence[Any], at_a_time: int, work: Callable[[Any], str], say: Say) -> None:
    """Share jobs out to worker processes; however this ends, none of the processes is left.

    Args:
        todo: the jobs, which must pickle.
        at_a_time: number of processes, at least 1.
        work: does one job and tells in a line what came of it. Must pickle; each process has a copy of its own,
            which may keep something from job to job. What a job leaves behind it writes itself.
        say: prints a line.

    Raises:
        UserError: a job raised one, or a process was killed.
    """
    context, waiting, ended = multiprocessing.get_context("spawn"), list(todo), 0
    workers: Dict[Any, Any] = {}
    try:
        for _ in range(min(at_a_time, len(todo))):
            here, there = context.Pipe()
            workers[here] = context.Process(target=_serve, args=(there, work, os.getpid()))
            workers[here].start()
            there.close()
            here.send(waiting.pop(0))
        while workers:
            for pipe in cast(List[Any], wait(list(workers))):
                ended += 1
                say(f"[{ended} of {len(todo)}] {_answer(pipe)}")
                if waiting:
                    pipe.send(waiting.pop(0))
                else:
                    pipe.close()
                    workers.pop(pipe).join()
    finally:
        for process in workers.values():
            process.terminate()
            process.join()


def _answer(pipe: Any) -> str:
    try:
        told, error = pipe.recv()
    except EOFError:
        raise UserError("a worker process was killed (out of memory?); the same command goes on") from None
    if error:
        raise UserError(error)
    return told


def _serve(pipe: Any, work: Callable[[Any], str], parent: int) -> None:
    """Do the jobs that come through a pipe until its other end is gone; answer (what came of it, error)."""
    # Ctrl-C goes to the whole group; the process that shares the jobs out ends this one, or dies.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with contextlib.suppress(EOFError, BrokenPipeError, KeyboardInterrupt), stopped_by_signals():
        end_with(parent)
        while True:
            job = pipe.recv()
            try:
                answer = work(job), ""
            except UserError as error:
                answer = "", str(error)
            pipe.send(answer)
