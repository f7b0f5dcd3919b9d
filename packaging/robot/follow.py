"""What a robot does with livesnn's decisions.

livesnn run camera --json --every frame | python follow.py
livesnn serve camera --tcp 7780     and, there or on another computer     python follow.py HOST:7780
"""

import json
import os
import signal
import socket
import sys
import time

LATEST_MS = 200  # older than that a decision is of no use
SILENCE_S = 3.0  # livesnn says a line every second: after so long without one, it is gone
LONGEST = 100_000  # octets of a line
STEADY = 4  # frames that a decision stands before it is acted on, 200 ms; it is given up at once
WINDOW = 10  # frames that a decision rests on: so many are doubtful where events were dropped


class Follower:
    """Which gesture to act on, by the lines that livesnn says."""

    def __init__(self):
        self.gesture = None  # that has stood long enough to act on it
        self.seen = None  # that the last line names
        self.trusted = False  # whether the last line can be believed, with or without a gesture
        self._steady, self._doubtful = 0, 0  # frames

    def hear(self, said):
        """Take the next line, parsed."""
        if "decision" in said:
            self._doubtful = WINDOW if said["dropped"] else max(self._doubtful - 1, 0)
            late = said["total_ms"] is not None and said["total_ms"] > LATEST_MS
            self.trusted = not (self._doubtful or late)
        else:  # who speaks, the camera is gone or back, lines are missing: so may be what they said
            self.trusted, self._doubtful = False, WINDOW
        seen = said["decision"] if self.trusted and said["decision"] != "other" else None
        self._steady = self._steady + 1 if seen == self.seen else 1
        self.seen = seen
        self.gesture = seen if self._steady >= STEADY or seen == self.gesture else None


def lines_over_tcp(address):
    """Yield what livesnn serve says; raises OSError or EOFError where it says no more, or nothing for too long."""
    host, _, port = address.removeprefix("tcp://").rpartition(":")
    with socket.create_connection((host.strip("[]"), int(port)), SILENCE_S) as connected:
        rest, ends_s = b"", time.monotonic() + SILENCE_S
        while True:
            *whole, rest = rest.split(b"\n")
            for line in whole:
                yield line
                ends_s = time.monotonic() + SILENCE_S
            connected.settimeout(max(ends_s - time.monotonic(), 0.001))
            octets = connected.recv(1 << 16)
            if not octets or len(rest) > LONGEST:
                raise EOFError("livesnn hung up" if not octets else "what came is no line")
            rest += octets


def parsed(lines):
    """Yield lines of JSON as dictionaries, until livesnn's last one."""
    for line in lines:
        said = json.loads(line)
        if "summary" in said:
            return
        yield said


def follow(lines):
    """Tell the robot which gesture is seen, and to stop when it ends."""
    follower, doing = Follower(), None
    for said in parsed(lines):
        follower.hear(said)
        if follower.gesture != doing:
            doing = follower.gesture
            when = f"{said['t'] / 1e6:.2f} s: " if "t" in said else ""
            print(f"{when}{doing or 'stop'}", flush=True)  # here the robot is told


def main(act, stop, usage):
    """Call act with livesnn's lines, by a pipe or from HOST:PORT; then stop, however it ends."""
    program = os.path.basename(sys.argv[0])
    if len(sys.argv) > 2 or (len(sys.argv) == 2 and not sys.argv[1].rpartition(":")[2].isdecimal()):
        print(usage, file=sys.stderr)
        sys.exit(2)
    for name in ("SIGTERM", "SIGHUP"):  # end by an exception, and so tell the robot
        if hasattr(signal, name) and signal.getsignal(getattr(signal, name)) is not signal.SIG_IGN:
            signal.signal(getattr(signal, name), lambda *_: sys.exit(1))
    if len(sys.argv) == 1:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C ends livesnn, and by that this
    try:
        act(lines_over_tcp(sys.argv[1]) if len(sys.argv) == 2 else sys.stdin)
    except KeyboardInterrupt:
        sys.exit(130)
    except (OSError, EOFError, OverflowError) as error:
        sys.exit(f"{program}: no decisions from {sys.argv[-1]} ({error}): is livesnn serve running there?")
    except (ValueError, TypeError, KeyError) as error:
        sys.exit(f"{program}: a line is none of livesnn's ({error!r}): give the port of the decisions")
    finally:
        stop()  # the stream has ended, livesnn has, or a line was none


if __name__ == "__main__":
    main(follow, lambda: print("stop", flush=True), __doc__)
