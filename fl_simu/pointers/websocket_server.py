"""WebsocketServerWorker: a worker that serves the WebsocketClientWorkers of other processes."""

import asyncio
import contextlib
import logging
from typing import Any, Callable, Dict, Iterable, Tuple

from fl_simu.kernel.errors import one_line
from fl_simu.pointers import network
from fl_simu.pointers.refusals import refusal
from fl_simu.pointers.requests import ACTIONS
from fl_simu.pointers.wire import LONGEST_BYTES, Malformed, packed, unpacked
from fl_simu.pointers.worker import Id, VirtualWorker

logger = logging.getLogger(__name__)


class WebsocketServerWorker(VirtualWorker):
    """A worker that serves at an address, one request after the other.

    Args:
        hook: the TorchHook.
        host, port: where it listens.
        id: the worker's id.
        log_msgs, verbose, data: as with VirtualWorker.
        loop: the event loop to serve in; by default a new one.
        cert_path, key_path: refused: clients do not encrypt.

    Raises:
        NetworkNotAllowed: other machines could reach it.
    """

    def __init__(
        self,
        hook: Any,
        host: str,
        port: int,
        id: Id = 0,
        log_msgs: bool = False,
        verbose: bool = False,
        data: Any = None,
        loop: Any = None,
        cert_path: Any = None,
        key_path: Any = None,
    ) -> None:
        if cert_path is not None or key_path is not None:
            raise refusal("WebsocketServerWorker(cert_path, key_path)", "leave them out, or let a tunnel encrypt")
        network.check(host, port, "listening at")
        network.need_websockets()
        super().__init__(hook, id, data, log_msgs=log_msgs, verbose=verbose)
        self.host, self.port, self.loop = host, port, loop

    def start(self) -> None:
        """Serve until Ctrl-C."""
        network.check(self.host, self.port, "listening at")
        loop = self.loop or asyncio.new_event_loop()
        server = None
        try:
            server = loop.run_until_complete(self._listening())
            print("Serving. Press CTRL-C to stop.", flush=True)
            loop.run_forever()
        except KeyboardInterrupt:
            logger.info("worker %s was stopped", self.id)
        finally:
            _ended(loop, server)
            if self.loop is None:
                loop.close()

    async def _listening(self) -> Any:
        from websockets.asyncio.server import serve

        # Connections from anything but a client are not reported on stderr.
        quiet = logging.getLogger("fl_simu.websockets")
        quiet.setLevel(logging.CRITICAL)
        # A web page in a browser names its origin, even when it connects to this machine; clients name none.
        options: Dict[str, Any] = {
            "max_size": LONGEST_BYTES,
            "origins": [None],
            "logger": quiet,
            **network.OPTIONS,
        }
        return await serve(self._talk, self.host, self.port, **options)

    async def _talk(self, connection: Any) -> None:
        from websockets.exceptions import ConnectionClosed

        try:
            async for message in connection:
                await connection.send(self.answered(message))
        except ConnectionClosed:
            return
        except KeyboardInterrupt:
            logger.info("worker %s was stopped while it worked", self.id)
            asyncio.get_running_loop().stop()

    def answered(self, message: Any) -> bytes:
        """The answer to a message; an error if the request cannot be carried out."""
        number = None
        try:
            number, gone, action, args = _request(message)
            for obj_id in gone:
                self.rm_obj(obj_id)
            return packed({"number": number, "result": action(self, *args)})
        except Exception as error:
            return packed({"number": number, "error": [type(error).__name__, one_line(str(error))]})

    def list_objects(self, *_: Any) -> str:
        return str(self._objects)

    def objects_count(self, *_: Any) -> int:
        return len(self._objects)


def _request(message: Any) -> Tuple[Any, Iterable[Any], Callable, Iterable[Any]]:
    """A request's number, the ids of objects without pointers, the action, and its arguments.

    Raises:
        Malformed: the message is not a request.
    """
    request = unpacked(message)
    try:
        number, gone, args = request["number"], list(request["gone"]), list(request["args"])
        return number, gone, ACTIONS[request["action"]], args
    except (LookupError, TypeError):
        raise Malformed("not a request of fl_simu.pointers") from None


def _ended(loop: Any, server: Any) -> None:
    """Close the connections, and leave nothing pending in the loop."""
    if server is not None:
        server.close()
        with contextlib.suppress(asyncio.TimeoutError):
            loop.run_until_complete(asyncio.wait_for(server.wait_closed(), 2 * network.CLOSE_S))
