"""TCP: connecting to a server, and what comes from it in pieces. Not here: what they mean (network.py), being one."""

from __future__ import annotations

import contextlib
import socket
import time
from typing import NamedTuple

import numpy as np

from livesnn.errors import SourceError

_LEAST_WAIT_S = 0.001  # a socket's timeout of 0 means something else
# A computer that is switched off, or a cable pulled, is noticed after 5 s of silence and 3 × 2 s without an answer.
_KEEPALIVE = {"TCP_KEEPIDLE": 5, "TCP_KEEPALIVE": 5, "TCP_KEEPINTVL": 2, "TCP_KEEPCNT": 3}


class Address(NamedTuple):
    """Where a server listens."""

    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"tcp://{host}:{self.port}"


def open_socket(address: Address, timeout_s: float) -> socket.socket:
    """Connect to a server that answers in the time. Raises SourceError."""
    try:
        connected = socket.create_connection(address, timeout=timeout_s)
    except (OSError, ValueError) as error:  # ValueError: a host name that can't be one
        raise SourceError(
            f"{address}: no connection ({reason_of(error)}): start the server, and check host and port"
        ) from error
    keep_alive(connected)
    return connected


def keep_alive(connected: socket.socket) -> None:
    """Let the system ask whether the other side is still there."""
    with contextlib.suppress(OSError):  # then it is noticed later that it is gone
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, number in _KEEPALIVE.items():
            if hasattr(socket, name):
                connected.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), number)


class Incoming:
    """What comes over a socket, owned from now on, taken in pieces of a wanted size, each in memory of its own.

    Attributes
    ----------
    filled
        Octets of the piece that is being waited for that are here already.
    last_s
        When the last octet came, `time.monotonic()`.
    """

    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected
        self._piece = memoryview(b"")
        self.filled = 0
        self.last_s = time.monotonic()

    def take(self, size: int, deadline_s: float) -> memoryview | None:
        """Return the next ``size`` octets; None when they aren't all here at the deadline: ask for them again.

        Raises
        ------
        OSError
            When the connection is lost.
        """
        if not self.filled:
            self._piece = np.empty(size, np.uint8).data
        while self.filled < size:
            remaining_s = deadline_s - time.monotonic()
            self._socket.settimeout(max(remaining_s, _LEAST_WAIT_S))
            try:
                count = self._socket.recv_into(self._piece[self.filled :])
            except TimeoutError as error:
                if error.errno is not None:  # the system's: the keepalive found nobody
                    raise
                return None
            if not count:
                raise ConnectionResetError("it hung up")
            self.filled += count
            self.last_s = time.monotonic()
            if self.filled < size and remaining_s <= 0:
                return None
        self.filled = 0
        return self._piece

    def close(self) -> None:
        """Hang up; safe to call twice."""
        self._socket.close()


def reason_of(error: Exception) -> str:
    """Return what an error of the system says, in one line."""
    return getattr(error, "strerror", None) or " ".join(str(error).split())
