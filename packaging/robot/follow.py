"""What a robot does with livesnn's decisions.

livesnn run camera --json --every frame | python follow.py
"""

import json
import signal
import sys

LATEST_MS = 200  # older than that a decision is of no use
WINDOW = 10  # frames that a decision rests on: so many are doubtful where events were dropped

signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C ends livesnn, and by that this
doing, doubtful = None, 0
try:
    for line in sys.stdin:
        said = json.loads(line)
        if "summary" in said:  # the last line
            break
        doubtful = WINDOW if said["dropped"] else max(doubtful - 1, 0)
        late = said["total_ms"] is not None and said["total_ms"] > LATEST_MS
        wanted = None if doubtful or late or said["decision"] == "other" else said["decision"]
        if wanted != doing:
            doing = wanted
            print(f"{said['t'] / 1e6:.2f} s: {doing or 'stop'}", flush=True)  # here the robot is told
finally:
    print("stop", flush=True)  # the stream has ended, livesnn has, or a line was none
