"""What is left of a Ray whose process was killed: its folder, and processes that hold files of it open."""

import contextlib
import os
import shutil
import time
from pathlib import Path

import psutil

from fl_simu.kernel.errors import UserError
from fl_simu.results.files import alone_in

# Names of Ray's temporary folders; one that nobody holds, and that is so old, is of a process that was killed.
PREFIX, YOUNG_S = "fl_simu_ray-", 60.0


def remove_dead(parent: Path) -> None:
    """Remove what is left below a folder of Rays whose processes were killed: their own processes, their files."""
    for folder in parent.glob(PREFIX + "*"):
        with contextlib.suppress(OSError, UserError):
            about = os.lstat(str(folder))
            new = time.time() - about.st_mtime < YOUNG_S and not any(folder.iterdir())
            if about.st_uid != os.getuid() or folder.is_symlink() or new:
                continue
            # It fails where the process that started that Ray still runs.
            with alone_in(folder):
                _kill_processes_of(folder)
                shutil.rmtree(str(folder), ignore_errors=True)


def _kill_processes_of(folder: Path) -> None:
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            # Agents rename themselves, but hold their logs open.
            words = process.cmdline() if process.uids().real == os.getuid() else []
            if any("ray" in word for word in words) and process.pid != os.getpid():
                paths = [*words, *(file.path for file in process.open_files())]
                if any(f"{folder}/" in path for path in paths):
                    process.kill()
