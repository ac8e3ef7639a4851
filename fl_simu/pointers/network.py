"""The addresses that servers and clients may use: this machine's own, unless `allow_network()` was called."""

import ipaddress
from typing import Any

from fl_simu.kernel.errors import NetworkNotAllowed
from fl_simu.kernel.packages import install_command, installed
from fl_simu.pointers.exceptions import DependencyError

_allowed = False


def allow_network(on: bool = True) -> None:
    """Allow workers to listen on and connect to addresses of other machines, like `exec --allow-network`."""
    global _allowed
    _allowed = on


def check(host: str, port: int, does: str) -> None:
    """Check that an address is allowed.

    Raises:
        NetworkNotAllowed: it is an address of another machine.
    """
    if _allowed or is_loopback(host):
        return
    raise NetworkNotAllowed(
        f"{does} {host}:{port} is not allowed: only 127.0.0.1, ::1 and localhost are, unless "
        "`fl_simu exec --allow-network` or fl_simu.pointers.allow_network() says otherwise"
    )


def is_loopback(host: Any) -> bool:
    """Whether an address can be reached from this machine only; no name except localhost is looked up.

    >>> [is_loopback(host) for host in ("127.0.0.2", "::1", "localhost", "0.0.0.0", "", "example.org")]
    [True, True, True, False, False, False]
    """
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def need_websockets() -> None:
    """Check that the package websockets is installed.

    Raises:
        DependencyError: it is not; the message gives the command that installs it.
    """
    if not installed("websockets"):
        error = DependencyError("websockets")
        error.args = (f"websocket workers need the package websockets: {install_command('websockets')}",)
        raise error


# The subprotocol of both sides; without it, each refuses the other.
SUBPROTOCOL = "fl_simu.pointers.1"
# Seconds to wait when closing a connection to the other side, which may be training.
CLOSE_S = 1
# No keepalive pings: a worker that trains does not answer them.
OPTIONS = {"compression": None, "ping_interval": None, "close_timeout": CLOSE_S, "subprotocols": [SUBPROTOCOL]}
