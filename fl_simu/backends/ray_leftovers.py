"""Leftovers of a Ray whose process was killed: its folder, and processes that have files in it open."""

import contextlib
import os
import shutil
import time
from pathlib import Path

import psutil

from fl_simu.kernel.errors import UserError
from fl_simu.results.files import alone_in

# Names of Ray's temporary folders; an unlocked one that is this old belongs to a process that was killed.
PREFIX, YOUNG_S = "fl_simu_ray-", 60.0


def remove_dead(parent: Path) -> None:
    """Remove leftovers of Rays whose processes were killed from a folder: their processes, their files."""
    for folder in parent.glob(PREFIX + "*"):
        with contextlib.suppress(OSError, UserError):
            about = os.lstat(str(folder))
            new = time.time() - about.st_mtime < YOUNG_S and not any(folder.iterdir())
            if about.st_uid != os.getuid() or folder.is_symlink() or new:
                continue
            # This fails if the process that started that Ray still runs.
            with alone_in(folder):
                _kill_processes_of(folder)
                shutil.rmtree(str(folder), ignore_errors=True)


def _kill_processes_of(folder: Path) -> None:
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            # Agents rename themselves, but keep their logs open.
            words = process.cmdline() if process.uids().real == os.getuid() else []
            if any("ray" in word for word in words) and process.pid != os.getpid():
                paths = [*words, *(file.path for file in process.open_files())]
                if any(f"{folder}/" in path for path in paths):
                    process.kill()
