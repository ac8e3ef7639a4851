"""Which addresses servers and clients may have: this machine's own, unless `allow_network()` was called."""

import ipaddress
from typing import Any

from fl_simu.kernel.errors import NetworkNotAllowed
from fl_simu.kernel.packages import install_command, installed
from fl_simu.pointers.exceptions import DependencyError

_allowed = False


def allow_network(on: bool = True) -> None:
    """From now on workers may listen at, and connect to, addresses of other machines; `exec --allow-network`."""
    global _allowed
    _allowed = on


def check(host: str, port: int, does: str) -> None:
    """See that an address is allowed.

    Raises:
        NetworkNotAllowed: it is not this machine's own.
    """
    if _allowed or is_loopback(host):
        return
    raise NetworkNotAllowed(
        f"{does} {host}:{port} is not allowed: only 127.0.0.1, ::1 and localhost are, unless "
        "`fl_simu exec --allow-network` or fl_simu.pointers.allow_network() says otherwise"
    )


def is_loopback(host: Any) -> bool:
    """Whether an address leads to this machine alone; no name but localhost is looked up.

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
    """See that the package websockets is here.

    Raises:
        DependencyError: it is not; it names the command that installs it.
    """
    if not installed("websockets"):
        error = DependencyError("websockets")
        error.args = (f"websocket workers need the package websockets: {install_command('websockets')}",)
        raise error


# What both sides speak; they refuse each other otherwise.
SUBPROTOCOL = "fl_simu.pointers.1"
# Seconds to take leave of the other side, which may be training.
CLOSE_S = 1
# Neither side is asked whether it is still there: a worker that trains does not answer.
OPTIONS = {"compression": None, "ping_interval": None, "close_timeout": CLOSE_S, "subprotocols": [SUBPROTOCOL]}
