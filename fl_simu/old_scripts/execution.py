"""`exec`: a script written against PySyft 0.2, run as it is.

On the legacy stack it has real syft; elsewhere `import syft` means fl_simu.pointers. For the rest it runs as with
`python SCRIPT.py`: its folder first in sys.path, `__name__ == "__main__"`, its own exit status and tracebacks.
"""

import sys
from pathlib import Path
from types import ModuleType
from typing import Optional, Sequence

from fl_simu.kernel.installation import syft_installed
from fl_simu.results.files import told_in_one_line


def exec_script(script: Path, arguments: Sequence[str], strict: bool, data_dir: Optional[Path]) -> int:
    """Run a script in this process; return its exit status.

    Args:
        script: a Python file.
        arguments: what it finds in sys.argv after its own name.
        strict: where 0.2.4 is wrong, be wrong too.
        data_dir: folder to search for MNIST before $FL_SIMU_DATA and the user's cache.

    Raises:
        UserError: the script cannot be read.
        SystemExit: the script raised it.
    """
    with told_in_one_line(script, "read"):
        source = script.read_bytes()
    # Only now, so that a mistyped name is told at once.
    from fl_simu.old_scripts import habits

    if not syft_installed():
        from fl_simu.pointers import install, quirks

        install()
        quirks.strict(strict)
    habits.meet(data_dir)
    main = sys.modules["__main__"] = ModuleType("__main__")
    vars(main).update(__file__=str(script), __builtins__=__builtins__)
    sys.argv = [str(script), *arguments]
    sys.path.insert(0, str(script.resolve().parent))
    try:
        exec(habits.compiled(source, str(script)), vars(main))
    except SystemExit:
        raise
    except BaseException as error:
        # Without the frames that lie in this package; a syntax error has no other.
        trace = error.__traceback__
        while trace is not None and Path(trace.tb_frame.f_code.co_filename).parent == Path(__file__).parent:
            trace = trace.tb_next
        sys.excepthook(type(error), error.with_traceback(trace), trace)
        return 130 if isinstance(error, KeyboardInterrupt) else 1
    return 0
