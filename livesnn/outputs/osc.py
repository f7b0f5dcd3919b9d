"""OSC over UDP: decisions as numbers and words, for TouchDesigner, Max, Processing and their like."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Sequence
from contextlib import closing

from pythonosc.osc_bundle_builder import IMMEDIATELY, OscBundleBuilder
from pythonosc.osc_message_builder import OscMessageBuilder

from livesnn.console import sayable
from livesnn.errors import SourceError, reason_of
from livesnn.events.cameras.network import Address
from livesnn.outputs.decisions import DecisionFeeds, decided
from livesnn.outputs.lines import Row
from livesnn.outputs.loop import LAST_PORT, OutputLoop


class OscOutput(asyncio.DatagramProtocol):
    """Sends a bundle for each frame, and when there is no decision any more; to one address."""

    def __init__(self, loop: OutputLoop, address: Address, decisions: DecisionFeeds) -> None:
        place = str(address).removeprefix("tcp://")
        if not 0 < address.port <= LAST_PORT:
            raise SourceError(f"--osc can't be {place}: give a port from 1 to {LAST_PORT}")
        self.name = f"decisions to osc://{place}"
        self._address, self._decisions = address, decisions
        self._say = loop.say
        loop.start(self)

    async def run(self, ready: Callable[[], None]) -> None:
        transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: self, remote_addr=self._address
        )
        with (
            closing(transport),
            self._decisions.programs.join(f"osc {self._address.host}:{self._address.port}") as receiver,
        ):
            ready()
            last: str | None = None
            while (message := await receiver.next()) is not None:
                last = decided(message, last)
                if message.row is not None or last is None:  # not of notices between
                    transport.sendto(bundle(self._decisions.card.classes, last, message.row))

    def error_received(self, error: Exception) -> None:
        """Say that nobody listens. The system knows only where the other computer says so."""
        self._say("osc", f"{self.name}: {reason_of(error)}: livesnn goes on sending, for whoever comes")


def bundle(classes: Sequence[str], decision: str | None, row: Row | None) -> bytes:
    """Return what is sent of a decision; ``row`` has its numbers, None: there are none any more.

    The names of all classes are in each: who comes later knows them.
    """
    index = classes.index(decision) if decision in classes else -1
    probabilities = [0.0 if row is None else row.probabilities.get(name, 0.0) for name in classes]
    confidence = 0.0 if row is None else row.confidence
    messages: list[tuple[str, Sequence[float | str]]] = [
        ("/livesnn/decision", [_string(decision or ""), confidence]),
        ("/livesnn/index", [index]),
        ("/livesnn/classes", [_string(name) for name in classes]),
        *(
            (f"/livesnn/probability/{part_of_address(name)}", [p])
            for name, p in zip(classes, probabilities, strict=True)
        ),
    ]
    builder = OscBundleBuilder(IMMEDIATELY)
    for address, values in messages:
        message = OscMessageBuilder(address)
        for value in values:
            message.add_arg(value)
        builder.add_content(message.build())
    octets: bytes = builder.build().dgram
    return octets


def part_of_address(name: str) -> str:
    """Return a class's name as a part of an OSC address, in which few signs are allowed (OSC 1.0)."""
    return re.sub(r"[^A-Za-z0-9_.-]", "_", name) or "_"


def _string(text: str) -> str:
    return sayable(text).replace("\0", "")
