import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fl_simu.cli.app import main
from fl_simu.kernel.ending import OutputLost, Stopped, flush, handlers_kept, stopped_by_signals

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_once_and_its_handler_is_put_back(number):
    before = signal.signal(number, signal.SIG_DFL)
    try:
        with stopped_by_signals() as came:
            with pytest.raises(Stopped):
                os.kill(os.getpid(), number)
                time.sleep(10)
            # A second signal does not disturb an orderly end.
            os.kill(os.getpid(), number)
        assert came == [number]
        assert signal.getsignal(number) is signal.SIG_DFL
    finally:
        signal.signal(number, before)


def test_what_is_ignored_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stopped_by_signals() as came:
            os.kill(os.getpid(), signal.SIGHUP)
        assert came == []
    finally:
        signal.signal(signal.SIGHUP, before)


def test_others_handlers_do_not_stay():
    before = signal.getsignal(signal.SIGTERM)
    with handlers_kept():
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    assert signal.getsignal(signal.SIGTERM) is before


def closed_pipe():
    reading, writing = os.pipe()
    os.close(reading)
    return os.fdopen(writing, "w")


@pytest.mark.parametrize(
    "output, status, told",
    [
        (closed_pipe, 141, []),
        (lambda: open("/dev/full", "w"), 2, ["standard output: No space left on device"]),  # noqa: SIM115
    ],
    ids=["closed", "full"],
)
def test_an_output_that_is_gone_is_no_traceback(output, status, told, monkeypatch, capsys):
    with output() as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        assert main(["list", "codecs"]) == status
        monkeypatch.undo()
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == len(told) and all(word in line for word, line in zip(told, lines))


def test_what_is_not_written_is_thrown_away():
    with closed_pipe() as stream:
        stream.write("lost")
        with pytest.raises(OutputLost):
            flush(stream)
        # At the exit of the interpreter there is no error left to report.
        stream.flush()


WORKING = """
import os, time
from pathlib import Path
from fl_simu.studies.pool import run_all

def work(job):
    print(os.getpid(), flush=True)
    time.sleep(60)

if __name__ == "__main__":
    run_all([1], 1, work, print, Path("."))
"""


def test_a_worker_does_not_outlive_its_parent(tmp_path):
    script = tmp_path / "working.py"
    script.write_text(WORKING)
    environment = dict(os.environ, PYTHONPATH=str(ROOT))
    with subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, env=environment) as parent:
        worker = int(parent.stdout.readline())
        parent.kill()
        # The worker keeps the other end open until it ends.
        parent.stdout.read()
    ends = time.monotonic() + 10
    while Path(f"/proc/{worker}").exists() and time.monotonic() < ends:
        time.sleep(0.05)
    assert not Path(f"/proc/{worker}").exists()
