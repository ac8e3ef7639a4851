"""Server scripts in separate processes, for the tests of websocket workers."""

import gc
import os
import signal
import socket
import time

from children import command

SERVER = """
import sys
import syft as sy
import torch
from syft.workers.websocket_server import WebsocketServerWorker

hook = sy.TorchHook(torch)
held = [torch.tensor([1.0, 2.0]).tag("#held"), torch.tensor([3.0])]
server = WebsocketServerWorker(hook, "127.0.0.1", int(sys.argv[1]), id="far", data=held)
torch.manual_seed(0)
server.add_dataset(sy.BaseDataset(torch.randn(6, 2), torch.randn(6, 1)), key="rows")
server.start()
print("stopped")
"""


def count_there(client):
    """Number of objects at the server after garbage collection."""
    gc.collect()
    return client.objects_count_remote()


class Servers:
    """Server scripts, each in its own process."""

    def __init__(self, forked, folder, environment):
        self.forked, self.folder, self.environment, self.processes = forked, folder, environment, []

    def start(self, text, *arguments):
        """Start one; its port is its last argument."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        script, said = (self.folder / f"server{len(self.processes)}.{kind}" for kind in ("py", "txt"))
        script.write_text(text)
        given = ["exec", str(script), *map(str, arguments), str(port)]
        process = self.forked.Process(target=command, args=(given, str(self.folder), self.environment, str(said)))
        process.start()
        self.processes.append((process, said))
        end = time.monotonic() + 120
        while "Serving." not in (said.read_text() if said.exists() else ""):
            assert process.is_alive() and time.monotonic() < end, said.read_text()
            time.sleep(0.01)
        return port

    def stop(self, number=signal.SIGINT):
        """End all; returns their exit statuses and output."""
        for process, _ in self.processes:
            if process.is_alive():
                os.kill(process.pid, number)
            process.join(20)
        return [(process.exitcode, said.read_text()) for process, said in self.processes]


def environment_of(folder):
    return dict(os.environ, OMP_NUM_THREADS="1", PYTHONWARNINGS="ignore", XDG_CACHE_HOME=str(folder))
