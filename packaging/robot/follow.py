"""What a robot does with livesnn's decisions.

livesnn run camera --json --every frame | python follow.py
livesnn publish camera     and, there or on another computer     python follow.py HOST:7780
"""

import json
import signal
import socket
import sys

LATEST_MS = 200  # older than that a decision is of no use
SILENCE_S = 3.0  # livesnn publish says something every second: after so long the connection is dead
STEADY = 4  # frames that a decision stands before it is acted on, 200 ms; it is given up at once
WINDOW = 10  # frames that a decision rests on: so many are doubtful where events were dropped


def lines():
    """Yield what livesnn says: on stdin, or over TCP."""
    if len(sys.argv) == 1:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C ends livesnn, and by that this
        yield from sys.stdin
        return
    host, _, port = sys.argv[1].removeprefix("tcp://").rpartition(":")
    with socket.create_connection((host.strip("[]"), int(port)), SILENCE_S) as connected:
        yield from connected.makefile(encoding="utf-8")


for name in ("SIGTERM", "SIGHUP"):  # end by an exception, and so tell the robot
    if hasattr(signal, name) and signal.getsignal(getattr(signal, name)) is not signal.SIG_IGN:
        signal.signal(getattr(signal, name), lambda *_: sys.exit(1))
doing, before, steady, doubtful = None, None, 0, 0
try:
    for line in lines():
        said = json.loads(line)
        if "summary" in said:  # the last line
            break
        if "decision" in said:
            doubtful = WINDOW if said["dropped"] else max(doubtful - 1, 0)
            late = said["total_ms"] is not None and said["total_ms"] > LATEST_MS
            wanted = None if doubtful or late or said["decision"] == "other" else said["decision"]
        else:  # who speaks, the camera is gone or back, lines are missing: so may be what they said
            wanted, doubtful = None, WINDOW
        steady = steady + 1 if wanted == before else 1
        before = wanted
        acted_on = wanted if steady >= STEADY or wanted == doing else None
        if acted_on != doing:
            doing = acted_on
            when = f"{said['t'] / 1e6:.2f} s: " if "t" in said else ""
            print(f"{when}{doing or 'stop'}", flush=True)  # here the robot is told
finally:
    print("stop", flush=True)  # the stream has ended, livesnn has, or a line was none
