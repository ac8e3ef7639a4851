import os
import sys

import pytest

from fl_simu.kernel.shell import SHELL_PATH, command_line, python_command


@pytest.fixture
def environments(tmp_path, monkeypatch):
    """Environments with links to one interpreter. That of env runs, first on PATH; the folder is tmp_path."""
    for name in ("env", "other", "my envs"):
        folder = tmp_path / name / "bin"
        folder.mkdir(parents=True)
        (folder / "python").symlink_to(sys.executable)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "env" / "bin" / "python"))
    monkeypatch.setenv("PATH", str(tmp_path / "env" / "bin"))
    monkeypatch.delenv(SHELL_PATH, raising=False)
    return tmp_path


def test_python_is_called_as_the_users_shell_finds_it(environments, monkeypatch):
    assert python_command() == "python"
    # The shell's own PATH, if this process was started with another one.
    monkeypatch.setenv(SHELL_PATH, str(environments / "other" / "bin"))
    assert python_command() == "env/bin/python"
    monkeypatch.setenv(SHELL_PATH, os.pathsep.join([str(environments / "other" / "bin"), os.environ["PATH"]]))
    assert python_command() == "env/bin/python"
    monkeypatch.chdir(environments / "env" / "bin")
    assert python_command() == str(environments / "env" / "bin" / "python")
    monkeypatch.setenv(SHELL_PATH, str(environments / "env" / "bin"))
    assert python_command() == "python"


def test_where_only_python3_is_it(environments, monkeypatch):
    folder = environments / "third" / "bin"
    folder.mkdir(parents=True)
    (folder / "python3.7").symlink_to(sys.executable)
    (folder / "python3").symlink_to("python3.7")
    monkeypatch.setattr(sys, "executable", str(folder / "python3.7"))
    assert python_command() == "third/bin/python3.7"
    monkeypatch.setenv(SHELL_PATH, str(folder))
    assert python_command() == "python3"


def test_commands_are_quoted(environments, monkeypatch):
    monkeypatch.setattr(sys, "executable", str(environments / "my envs" / "bin" / "python"))
    assert command_line("run", "my file.toml") == "'my envs/bin/python' -m fl_simu run 'my file.toml'"
