"""A separate checkout with an environment, in which tests type commands as users do."""

import os
import shutil
import signal
import subprocess
import sysconfig
import venv

import pytest
from pages import ROOT

ENTER = ". .venv/legacy/bin/activate"
PATH = "/usr/local/bin:/usr/bin:/bin"


class Checkout:
    """A copy of parts of this checkout after `make setup`; its environment is the one that the tests run in.

    The environment is where `make run` looks first, whatever its Python is, so that `make` installs nothing.

    Args:
        root: an empty folder.
        parts: paths of the folders and files to copy.
    """

    def __init__(self, root, parts):
        for tool in ("bash", "make"):
            if shutil.which(tool, path=PATH) is None:
                pytest.skip(f"needs {tool}")
        self.root = root
        for name in parts:
            if (ROOT / name).is_dir():
                shutil.copytree(str(ROOT / name), str(root / name))
            else:
                shutil.copy2(str(ROOT / name), str(root / name))
        environment = root / ".venv" / "legacy"
        venv.create(str(environment), symlinks=True)
        (packages,) = environment.glob("lib/python*/site-packages")
        here = [sysconfig.get_path("purelib"), sysconfig.get_path("platlib"), str(root)]
        (packages / "these.pth").write_text("\n".join(dict.fromkeys(here)))
        self.shell('printf "%s %s\\n" "$(cksum <requirements/legacy.txt)" "$PWD" >.venv/legacy/complete')

    def shell(self, command, home="home", patience_s=None, **variables):
        """The output of a command that is typed in a fresh shell; the command must succeed.

        Args:
            home: the home folder, below the root.
            patience_s: time after which Ctrl-C is typed; the command must then end as if a user stops it.
            variables: environment variables.
        """
        environment = {"HOME": str(self.root / home), "PATH": PATH, **variables}
        words = ["bash", "--noprofile", "--norc", "-c", command]
        # In its own process group, as in a terminal: Ctrl-C goes to the whole group.
        process = subprocess.Popen(
            words,
            cwd=str(self.root),
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            universal_newlines=True,
            start_new_session=True,
            # Tests that a shell starts in the background inherit that SIGINT is ignored.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        allowed = [0]
        try:
            said, complaint = process.communicate(timeout=patience_s)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGINT)
            said, complaint = process.communicate(timeout=60)
            allowed += [128 + signal.SIGINT, -signal.SIGINT]
        assert process.returncode in allowed, f"{command}\n{said}\n{complaint}"
        assert "Traceback" not in complaint, f"{command}\n{complaint}"
        return said
