"""A robot that drives when somebody circles an arm, and stops when somebody waves a hand or anything is wrong.

livesnn run camera --json --every frame | python drive.py
livesnn serve camera --tcp 7780     and, there or on another computer     python drive.py HOST:7780
"""

from follow import Follower, main, parsed

STOP = ("left_hand_wave", "right_hand_wave")
GO = (
    "left_arm_clockwise",
    "left_arm_counter_clockwise",
    "right_arm_clockwise",
    "right_arm_counter_clockwise",
)
GO_FRAMES = 20  # that a circle lasts before the robot drives, one second: the start of a wave looks like a circle


class Driver:
    """Whether the robot drives, by the lines that livesnn says."""

    def __init__(self):
        self.drives = False
        self._follower = Follower()
        self._circled = 0  # frames

    def hear(self, said):
        """Take the next line, parsed. A wave or a doubt stops at once; only a steady circle starts."""
        self._follower.hear(said)
        seen = self._follower.seen
        self._circled = self._circled + 1 if seen in GO else 0
        if not self._follower.trusted or seen in STOP:
            self.drives = False
        elif self._circled >= GO_FRAMES:
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
