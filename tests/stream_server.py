"""A server of events by dv-processing's NetworkWriter: `stream_server.py PORT FILE COMPRESSION`.

Says "ready", then reads commands, one a line: "play" waits for a client, sends the whole file, and says how many
events that were; "pace" does so in the file's own time. The end of its input ends it, at once: deleting a writer
with a client connected deadlocks.
"""

from __future__ import annotations

import os
import sys
import time

import dv_processing as dv


def play(writer: dv.io.NetworkWriter, path: str, *, paced: bool) -> int:
    while not writer.getClientCount():
        time.sleep(0.001)
    recording, sent = dv.io.MonoCameraRecording(path), 0
    begun_s, begun_us = time.perf_counter(), recording.getTimeRange()[0]
    while recording.isRunning():
        if (batch := recording.getNextEventBatch()) is not None:
            due_s = begun_s + (batch.getHighestTime() - begun_us) / 1e6
            time.sleep(max(due_s - time.perf_counter(), 0.0) if paced else 0.0)
            writer.writeEvents(batch)
            sent += len(batch)
            while writer.getQueuedPacketCount() > 100:  # it drops what it can't queue
                time.sleep(0.001)
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
