"""A robot that drives off when somebody claps, and stops when somebody waves a hand or anything is wrong.

livesnn run camera --json --every frame | python drive.py
livesnn publish camera     and, there or on another computer     python drive.py HOST:7780
"""

from follow import Follower, main, parsed

GO = ("hand_clapping",)
STOP = ("left_hand_wave", "right_hand_wave")


class Driver:
    """Whether the robot drives, by the lines that livesnn says."""

    def __init__(self):
        self.drives = False
        self._follower = Follower()

    def hear(self, said):
        """Take the next line, parsed. A wave or a doubt stops at once; only a steady clap starts."""
        self._follower.hear(said)
        if not self._follower.trusted or self._follower.seen in STOP:
            self.drives = False
        elif self._follower.gesture in GO:
            self.drives = True


def move(drives):
    """Turn the robot's motors: write here what yours needs."""
    print("drive" if drives else "stop", flush=True)


def drive(lines):
    """Move the robot by lines of JSON."""
    driver, moving = Driver(), False
    for said in parsed(lines):
        driver.hear(said)
        if driver.drives != moving:
            moving = driver.drives
            move(moving)


if __name__ == "__main__":
    main(drive, lambda: move(False), __doc__)
