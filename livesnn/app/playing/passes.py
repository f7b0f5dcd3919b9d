"""Pass: one run through a part of a source. Not here: when it begins and is cut short (playback.py, control.py)."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from livesnn.card import InputSpec, SliceRule
from livesnn.events import Events, EventSource, Relay
from livesnn.events.buffered import Buffered
from livesnn.events.frames import Frame, frames


class Pass(Relay):
    """One run through a part of the source.

    Attributes
    ----------
    cut
        Whether whoever pulls should stop pulling.
    read_to_end
        Whether it has ended, and nobody has cut it short.
    events_before
        How many the passes before have taken.
    """

    def __init__(self, source: EventSource, events_before: int = 0) -> None:
        super().__init__(source)
        self.cut = False
        self.read_to_end = False
        self.events_before = events_before

    def frames(self, rule: SliceRule, input: InputSpec) -> Iterator[Frame]:  # noqa: A002 (the card's name)
        """Yield its frames to the end, or until the pass is cut."""
        return frames(self, rule, input)

    @property
    def unread(self) -> int:
        """Events that wait to be pulled."""
        return 0

    def wake(self) -> None:
        """Make whoever pulls look at `cut`, whatever the source does."""


class BufferedPass(Pass):
    """One that is captured in a thread of its own.

    Parameters
    ----------
    buffer
        Owned by the pass.
    events_before
        How many the passes before have taken.
    interrupt
        Makes the buffer's thread end soon, wherever it waits.
    """

    def __init__(self, buffer: Buffered, events_before: int, interrupt: Callable[[], None]) -> None:
        super().__init__(buffer, events_before)
        self._buffer = buffer
        self._interrupt = interrupt

    @property
    def unread(self) -> int:
        """Events in the buffer."""
        return self._buffer.unread

    def __iter__(self) -> Iterator[Events]:
        """Yield packets to the end, or until the pass is cut."""
        for packet in self._buffer:
            yield packet
            if self.cut:
                return
        self.read_to_end = not self.cut

    def wake(self) -> None:
        """End the buffer."""
        self._buffer.interrupt()

    def close(self) -> None:
        """End the buffer's thread."""
        self._interrupt()
        self._buffer.close()
