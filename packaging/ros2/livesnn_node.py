"""`ros2 run livesnn_ros node`: livesnn serve as a node, whose source and model may be parameters."""

import sys

from livesnn.__main__ import start


def main() -> None:
    """Start livesnn serve with the options of the command line, of which ROS takes what follows --ros-args."""
    sys.argv[1:1] = ["serve", "camera", "--ros2"]  # the parameter source takes the camera's place
    start()
