"""A server of events by dv-processing's NetworkWriter: `python -m tests.stream_server PORT FILE COMPRESSION`.

Says "ready", then reads commands, one a line: "play" waits for a client, sends the whole file, and says how many
events that were; "pace" does so in the file's own time. The end of its input ends it, at once: deleting a writer
with a client connected deadlocks.
"""

from __future__ import annotations

import os
import sys
import time

import dv_processing as dv

from tests.waiting import eventually


def play(writer: dv.io.NetworkWriter, path: str, *, paced: bool) -> int:
    eventually(writer.getClientCount, 60)
    recording, sent = dv.io.MonoCameraRecording(path), 0
    begun_s, begun_us = time.perf_counter(), recording.getTimeRange()[0]
    while recording.isRunning():
        if (batch := recording.getNextEventBatch()) is not None:
            due_s = begun_s + (batch.getHighestTime() - begun_us) / 1e6
            if paced and (early_s := due_s - time.perf_counter()) > 0:
                time.sleep(early_s)  # a recording in its own time: nothing waits for this
            writer.writeEvents(batch)
            sent += len(batch)
            eventually(lambda: writer.getQueuedPacketCount() <= 100, 60)  # it drops what it can't queue
    return sent


def main() -> None:
    port, path, compression = sys.argv[1:]
    recording = dv.io.MonoCameraRecording(path)
    stream = dv.io.Stream.EventStream(0, "events", recording.getCameraName(), recording.getEventResolution())
    stream.setCompression(dv.CompressionType.__members__[compression])
    writer = dv.io.NetworkWriter("127.0.0.1", int(port), stream)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    while (command := sys.stdin.readline().strip()) in ("play", "pace"):
        sys.stdout.write(f"{play(writer, path, paced=command == 'pace')}\n")
        sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
