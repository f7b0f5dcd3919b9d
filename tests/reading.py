"""What the tests of file formats share: events made, files written and read back whole."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from hypothesis import strategies as st

from livesnn.events.packet import EVENTS_DTYPE, Events, Packet
from livesnn.events.recording import open_recording
from tests.fake_source import joined


def write(path: Path, *parts: bytes) -> Path:
    path.write_bytes(b"".join(parts))
    return path


def read(path: Path, seek_us: int | None = None, *, stream: str | None = None) -> Events:
    """Return a recording's events, or those from a time on, of its first stream or another one."""
    with open_recording(path, stream=stream) as recording:
        if seek_us is not None:
            recording.seek(seek_us)
        return joined(recording)


def packets_of(source: Iterable[Packet]) -> Iterator[Events]:
    """Yield the events of each packet."""
    return (packet.events for packet in source)


def events_at(times: object, size: tuple[int, int] = (640, 480)) -> Events:
    """Return an event at each of the times, all over a sensor of that width and height."""
    t = np.asarray(times, np.int64)
    events = np.zeros(t.size, EVENTS_DTYPE)
    events["t"], events["p"] = t, np.arange(t.size) % 3 == 0
    events["x"], events["y"] = np.arange(t.size) * 5 % size[0], np.arange(t.size) * 7 % size[1]
    return events


@st.composite
def recordings(
    draw: st.DrawFn, *, x: Sequence[int], y: Sequence[int], gaps_us: Sequence[int], starts_us: Sequence[int]
) -> Events:
    """Draw up to 40 events at some of these places, so far apart in time, the first at one of ``starts_us``."""
    pixel = st.tuples(st.sampled_from(x), st.sampled_from(y), st.booleans())
    rows = draw(st.lists(st.tuples(st.sampled_from(gaps_us), pixel), max_size=40))
    times = draw(st.sampled_from(starts_us)) + np.cumsum([0, *(gap_us for gap_us, _ in rows)])[:-1]
    return np.array([(t, *at) for t, (_, at) in zip(times, rows, strict=True)], EVENTS_DTYPE)
