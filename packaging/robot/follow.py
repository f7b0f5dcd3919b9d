"""What a robot does with livesnn's decisions.

livesnn run camera --json --every frame | python follow.py
"""

import json
import sys

LATEST_MS = 200  # older than that a decision is of no use
doing = None

for line in sys.stdin:
    said = json.loads(line)
    if "summary" in said:  # the last line
        break
    late = said["total_ms"] is not None and said["total_ms"] > LATEST_MS
    doubtful = late or said["dropped"] > 0 or said["decision"] == "other"
    wanted = None if doubtful else said["decision"]  # None: stop, nobody gestures or it isn't sure
    if wanted != doing:
        doing = wanted
        print(f"{said['t'] / 1e6:.2f} s: {doing or 'stop'}", flush=True)  # here the robot is told

print("stop")  # the stream has ended, or livesnn has
