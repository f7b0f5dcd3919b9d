"""Pass: one run through a part of a source. Not here: when it begins and is cut short (playback.py, control.py)."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from livesnn.events import Events, Relay
from livesnn.events.buffered import Buffered


class Pass(Relay):
    """One run through a part of the source, for `events.frames.frames`.

    Parameters
    ----------
    buffer
        Owned by the pass.
    events_before
        How many the passes before have taken.
    interrupt
        Makes the buffer's thread end soon, wherever it waits.

    Attributes
    ----------
    cut
        Whether whoever pulls should stop pulling.
    read_to_end
        Whether it has ended, and nobody has cut it short.
    """

    def __init__(self, buffer: Buffered, events_before: int, interrupt: Callable[[], None]) -> None:
        super().__init__(buffer)
        self.buffer = buffer
        self.events_before = events_before
        self.cut = False
        self.read_to_end = False
        self._interrupt = interrupt

    def __iter__(self) -> Iterator[Events]:
        """Yield packets to the end, or until the pass is cut."""
        for packet in self.buffer:
            yield packet
            if self.cut:
                return
        self.read_to_end = not self.cut

    def close(self) -> None:
        """End the buffer's thread."""
        self._interrupt()
        self.buffer.close()
