"""Decisions as lines of JSON for every program that connects by TCP."""

from __future__ import annotations

from livesnn.card import ModelCard
from livesnn.console import json_line
from livesnn.events.cameras.server import Address, TcpServer
from livesnn.events.packet import Closing
from livesnn.outputs.lines import Row, Summary

KEPT_BYTES = 20_000
"""Of lines that may wait for one program, here and again in the system: a second of frames of 50 ms each."""

QUIET_S = 1.0


class PublishedDecisions(Closing):
    """Sends each decision to every program that is connected, and waits for none of them.

    Used as a context manager, it also sends the error that ends its block.

    Lines are those of `livesnn run --json`, an object each, and these: ``{"source", "model", "classes", "frame_us",
    "window"}`` first; ``{"notice"}`` when the source is lost, when it is back, and of what takes long;
    ``{"quiet": true}`` where nothing was sent for a second; ``{"missed"}``, how many lines, where a program read too
    slowly; ``{"error"}`` where an error ends it.

    Parameters
    ----------
    address
        Where to listen; port 0: any that is free. Raises SourceError where that can't be.
    source
        Its name for people.
    card
        Of the model that decides.
    """

    def __init__(self, address: Address, source: str, card: ModelCard) -> None:
        greeting = {
            "source": source,
            "model": card.name,
            "classes": card.classes,
            "frame_us": card.input.slice.delta_t_us,
            "window": card.input.window,
        }
        self._server = TcpServer(
            address,
            json_line(greeting),
            most_bytes=KEPT_BYTES,
            buffer_bytes=KEPT_BYTES,
            missed=lambda lines: json_line({"missed": lines}),
            quiet=json_line({"quiet": True}),
            quiet_s=QUIET_S,
        )

    @property
    def address(self) -> Address:
        """Where programs connect to."""
        return self._server.address

    def tell(self, row: Row | Summary) -> None:
        """Send a decision or the summary."""
        self._server.send(json_line(row if isinstance(row, Row) else {"summary": row}))

    def notice(self, line: str) -> None:
        """Send that the source is lost, or back."""
        self._server.send(json_line({"notice": line}))

    def fail(self, error: BaseException) -> None:
        """Send why it ends."""
        stopped = isinstance(error, KeyboardInterrupt)
        self._server.send(
            json_line({"error": str(error) or ("stopped" if stopped else type(error).__name__)})
        )

    def close(self) -> None:
        """Send what waits, and close every connection. Safe to call twice."""
        self._server.close()

    def __exit__(self, *raised: object) -> None:
        if isinstance(error := raised[1], BaseException):
            self.fail(error)
        self.close()
