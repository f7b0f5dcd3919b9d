"""A ROS 2 node that does what drive.py does: it listens to livesnn/lines and publishes cmd_vel.

livesnn serve camera --ros2     and     python drive_ros2.py
python drive_ros2.py --ros-args -r cmd_vel:=turtle1/cmd_vel -p speed:=0.5
"""

import json
import signal
import sys
import time

import rclpy
from drive import Driver
from follow import SILENCE_S
from geometry_msgs.msg import Twist
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions
from std_msgs.msg import String


class DriveNode(Node):
    """Publishes a speed ten times a second, which is 0 unless livesnn's lines say that the robot drives."""

    def __init__(self):
        super().__init__("drive")
        self.declare_parameter("speed", 0.2)  # metres a second
        self._driver = Driver()
        self._moving = False
        self._heard_s = time.monotonic()
        self._velocity = self.create_publisher(Twist, "cmd_vel", 10)
        self.create_subscription(String, "livesnn/lines", self._hear, 10)
        self.create_timer(0.1, self._drive)

    def _hear(self, line):
        self._heard_s = time.monotonic()
        self._driver.hear(json.loads(line.data))

    def _drive(self):
        if time.monotonic() - self._heard_s > SILENCE_S:  # livesnn is gone
            self._driver = Driver()
        if self._driver.drives != self._moving:
            self._moving = self._driver.drives
            self.get_logger().info("drive" if self._moving else "stop")
        speed = self.get_parameter("speed").value if self._moving else 0.0
        self.publish(speed)

    def publish(self, speed):
        """Tell the robot a speed, straight on."""
        message = Twist()
        message.linear.x = speed
        self._velocity.publish(message)


rclpy.init(args=sys.argv, signal_handler_options=SignalHandlerOptions.NO)  # Ctrl-C must leave time to stop
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
node = DriveNode()
try:
    rclpy.spin(node)
except KeyboardInterrupt:
    sys.exit(130)
finally:
    node.publish(0.0)
