"""`exec`: run a script or notebook written against PySyft 0.2 unchanged.

On the legacy stack the script gets real syft; elsewhere `import syft` means fl_simu.pointers. Otherwise it runs as
with `python SCRIPT.py`: its folder first in sys.path, `__name__ == "__main__"`, its own exit status. The cells of
a notebook run in order, in one namespace, and show the values that a notebook shows.
"""

import sys
from pathlib import Path
from types import ModuleType
from typing import List, NamedTuple, Optional, Sequence

from fl_simu.kernel.errors import NetworkNotAllowed
from fl_simu.kernel.installation import syft_installed
from fl_simu.old_scripts import notebook, sources, tracebacks
from fl_simu.old_scripts.notices import tell


class Options(NamedTuple):
    """The options for running a script.

    Args:
        strict: behave like 0.2.4 even where it is wrong.
        data_dir: folder to search for data sets before $FL_SIMU_DATA and the user's cache.
        limit: use only this many training and test images of each torchvision data set.
        todays_draws: keep the random numbers of this torch.
        traceback: show the frames of installed packages too.
        allow_network: let workers listen on and connect to addresses of other machines.
    """

    strict: bool = False
    data_dir: Optional[Path] = None
    limit: Optional[int] = None
    todays_draws: bool = False
    traceback: bool = False
    allow_network: bool = False


def exec_script(script: Path, arguments: Sequence[str], options: Options) -> int:
    """Run a script in this process; return its exit status.

    Args:
        script: a Python file or a notebook.
        arguments: the entries of sys.argv after the script's name.
        options: how to run it.

    Raises:
        UserError: the script cannot be read, is neither Python nor a notebook, or needs the network unpermitted.
        SystemExit: the script raised it.
    """
    try:
        pieces, is_notebook = sources.read(script, tell)
    except SyntaxError as error:
        # The message says everything; how the script was read does not matter.
        error.__cause__ = error.__context__ = None
        tracebacks.show(type(error), error, None)
        return 1
    # Imported only now, so that a mistyped script name is reported at once.
    from fl_simu.old_scripts import habits

    if not syft_installed():
        from fl_simu.pointers import install, network, quirks

        install()
        network.allow_network(options.allow_network)
        quirks.strict(options.strict)
    habits.meet(options.data_dir, options.limit, options.todays_draws)
    main = sys.modules["__main__"] = ModuleType("__main__")
    vars(main).update(__builtins__=__builtins__)
    if not is_notebook:
        vars(main).update(__file__=str(script))
    if is_notebook or notebook.CONVERTED.search(script.read_bytes()):
        vars(main).update(notebook.names(vars(main), tell))
    sys.argv = [str(script), *arguments]
    sys.path.insert(0, str(script.resolve().parent))
    try:
        _run(pieces, main)
    except (SystemExit, NetworkNotAllowed):
        raise
    except BaseException as error:
        tracebacks.show(type(error), error, error.__traceback__, options.traceback)
        return 130 if isinstance(error, KeyboardInterrupt) else 1
    return 0


def _run(pieces: List[sources.Piece], main: ModuleType) -> None:
    for piece in pieces:
        exec(piece.code, vars(main))
        if piece.last is not None:
            value = eval(piece.last, vars(main))
            if value is not None:
                print(repr(value))
