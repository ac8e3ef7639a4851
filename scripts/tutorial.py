"""Execute docs/tutorial.ipynb in place: `make tutorial`.

The cells run in a temporary folder, with this checkout and one thread, regardless of the user's Jupyter settings.
"""

import os
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode

ROOT = Path(__file__).resolve().parent.parent
TUTORIAL = ROOT / "docs" / "tutorial.ipynb"
# Time limit of a cell in seconds; the slowest cell takes some seconds.
CELL_S = 120


def execute(notebook: NotebookNode) -> None:
    """Run all cells in order and replace their outputs by what they print and draw.

    Raises:
        CellExecutionError: a cell failed.
        CellTimeoutError: a cell took longer than CELL_S.
    """
    with tempfile.TemporaryDirectory() as folder:
        client = NotebookClient(
            notebook,
            timeout=CELL_S,
            record_timing=False,
            coalesce_streams=True,
            resources={"metadata": {"path": folder}},
        )
        manager = client.create_kernel_manager()
        # Sockets that are files in this folder need no port and no network.
        manager.transport, manager.connection_file = "ipc", str(Path(folder) / "kernel.json")
        client.execute(env=dict(os.environ, PYTHONPATH=str(ROOT), OMP_NUM_THREADS="1", IPYTHONDIR=folder))
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }


def main() -> None:
    notebook = nbformat.read(TUTORIAL, as_version=4)
    execute(notebook)
    nbformat.write(notebook, TUTORIAL)
    print(f"docs/{TUTORIAL.name}: {TUTORIAL.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
