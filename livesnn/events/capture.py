"""record: a source into an .aedat4 file, from beginning to end. Not here: the file (tape.py), a screen (cli)."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from livesnn.errors import LivesnnError, SourceError
from livesnn.events import EventSource
from livesnn.events.limited import Limited
from livesnn.events.tape import BUFFER_BYTES, Recorded, Tape, with_kept
from livesnn.signals import ending_sets
from livesnn.threads import WAKE_S, Policy


def record(
    source: EventSource,
    out: Path,
    *,
    seconds: float | None = None,
    buffer_bytes: int = BUFFER_BYTES,
    clock: Callable[[], float] = time.perf_counter,
) -> Recorded:
    """Write a source to a new .aedat4 file until it ends, or Ctrl-C; the file is then complete.

    A live source is recorded at its own pace: what the disk can't take in time is dropped and counted. Nothing of
    a recording is. The first Ctrl-C (or SIGTERM, SIGHUP) only stops; a second one is as usual.

    Parameters
    ----------
    source
        Closed at the end.
    out
        A new file, of suffix .aedat4.
    seconds
        Of a live source, by the clock; of a recording, of its time.
    buffer_bytes
        What may wait for the disk.

    Raises
    ------
    SourceError
        When the source is a video, the file exists or can't be written, or the source fails; what was written
        until then is kept, and the message says so.
    KeyboardInterrupt
        Of a second Ctrl-C; with what was kept as its message.
    """
    stop = threading.Event()
    with ending_sets(stop), Limited(source, seconds, stop, clock=clock) as limited:
        if limited.video is not None:
            raise limited.video.no_events()
        policy: Policy = "drop_oldest" if source.live else "block"
        tape = Tape(out, source.resolution, source.camera, policy=policy, buffer_bytes=buffer_bytes)
        try:
            _write(limited, tape)
        except (LivesnnError, KeyboardInterrupt) as error:
            tape.close()
            raise type(error)(with_kept(str(error), tape)) from error
        finally:
            tape.close()
    if tape.error is not None:
        raise SourceError(with_kept(str(tape.error), tape)) from tape.error
    return replace(tape.recorded, dropped=tape.recorded.dropped + source.counters.dropped)


def _write(source: EventSource, tape: Tape) -> None:
    """Return when all of it is written, or the tape has failed."""
    for packet in source:
        tape.put(packet, source.connection)
        if tape.finished:  # by an error
            return
    tape.stop()
    while not tape.wait(WAKE_S):
        pass
