"""WebsocketClientWorker: the local side of a WebsocketServerWorker in another process."""

import contextlib
import threading
from typing import Any, Dict, Iterator, List, Optional

from fl_simu.pointers import network
from fl_simu.pointers.refusals import refusal
from fl_simu.pointers.remote import RemoteWorker
from fl_simu.pointers.wire import LONGEST_BYTES, packed, unpacked
from fl_simu.pointers.worker import Id

OPTIONS: Dict[str, Any] = {"open_timeout": 60, "max_size": LONGEST_BYTES, "proxy": None, **network.OPTIONS}


class WebsocketClientWorker(RemoteWorker):
    """The local side of a worker that serves at an address.

    Args:
        hook: the TorchHook.
        host, port: the address of the server.
        secure: refused: 0.2.4 checks no certificate, so anybody could pose as the server.
        id: the worker's id.
        is_client_worker, log_msgs, verbose, data: as with VirtualWorker; `data` stays on this side.

    Raises:
        ConnectionError: no server answers there, or not one of this kind.
        NetworkNotAllowed: the address belongs to another machine.
    """

    def __init__(
        self,
        hook: Any,
        host: str,
        port: int,
        secure: bool = False,
        id: Id = 0,
        is_client_worker: bool = False,
        log_msgs: bool = False,
        verbose: bool = False,
        data: Any = None,
    ) -> None:
        if secure:
            raise refusal("WebsocketClientWorker(secure=True)", "leave it out, or let a tunnel encrypt")
        network.check(host, port, "connecting to")
        super().__init__(hook, id, data, is_client_worker, log_msgs, verbose)
        self.host, self.port, self.secure = host, port, secure
        self.ws: Any = None
        self._opened = contextlib.ExitStack()
        self._turn = threading.Lock()
        self._requests = 0
        self.connect()

    @property
    def url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"ws://{host}:{self.port}"

    def connect(self) -> None:
        """Open the connection, after closing an open one."""
        network.check(self.host, self.port, "connecting to")
        network.need_websockets()
        from websockets.sync.client import connect

        self.close()
        with self._plainly():
            self.ws = self._opened.enter_context(connect(self.url, **OPTIONS))
        if self.ws.subprotocol != network.SUBPROTOCOL:
            self.close()
            raise self._stranger()
        if self.hook is not None:
            self.hook.local_worker._known_workers[self.id] = self

    @contextlib.contextmanager
    def _plainly(self) -> Iterator[None]:
        """Raise connection errors with messages that name the worker."""
        from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidMessage

        try:
            yield
        except ConnectionClosed:
            raise self._closed() from None
        except ConnectionRefusedError as error:
            said = f"no server answers at {self.url}: start the worker {self.id} first"
            raise ConnectionRefusedError(error.errno, said) from None
        except (InvalidHandshake, InvalidMessage, EOFError, TimeoutError):
            raise self._stranger() from None

    def _stranger(self) -> ConnectionError:
        return ConnectionError(f"what answers at {self.url} is no WebsocketServerWorker of fl_simu.pointers")

    def _closed(self) -> ConnectionError:
        return ConnectionError(
            f"the connection to worker {self.id} at {self.url} is closed; connect() opens it anew"
        )

    def close(self) -> None:
        """Close the connection; `connect` opens it again."""
        self._opened.close()
        self.ws = None

    def carried(self, request: Dict[str, Any]) -> Dict[str, Any]:
        if self.ws is None:
            raise self._closed()
        with self._turn, self._plainly():
            self._requests += 1
            self.ws.send(packed({"number": self._requests, **request}))
            # After an interrupted request, its answer comes first. The answer to an unreadable one has no number.
            while True:
                answer = self._read(self.ws.recv())
                if answer["number"] in (self._requests, None):
                    return answer

    def _read(self, message: Any) -> Dict[str, Any]:
        answer = unpacked(message)
        if not isinstance(answer, dict) or "number" not in answer or not {"result", "error"} & set(answer):
            raise self._stranger()
        return answer

    async def async_fit(self, dataset_key: str, return_ids: Optional[List[Id]] = None) -> Any:
        """Like `fit`, over a separate connection, while this process does other things."""
        if self.ws is None:
            raise self._closed()
        from websockets.asyncio.client import connect

        message = packed({"number": 0, **self.request("fit", dataset_key)})
        with self._plainly():
            async with connect(self.url, **OPTIONS) as connection:
                await connection.send(message)
                answer = self._read(await connection.recv())
        return self._loss(self._understood(answer))

    def __str__(self) -> str:
        remote = "closed" if self.ws is None else self.objects_count_remote()
        return (
            f"<{type(self).__name__} id:{self.id} #objects local:{len(self._objects)} #objects remote: {remote}>"
        )

    __repr__ = __str__
