"""A ROS 2 subscriber in another process: prints a line of JSON for each message that livesnn publishes."""

from __future__ import annotations

import json
import sys
import zlib

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import Image
from std_msgs.msg import Float32, String


def say(topic: str, value: object) -> None:
    sys.stdout.write(json.dumps([topic, value]) + "\n")
    sys.stdout.flush()


def main(namespace: str) -> None:
    """Subscribe, and spin until it is killed."""
    rclpy.init()
    node = rclpy.create_node("listener")
    at = namespace.rstrip("/") + "/livesnn/"
    node.create_subscription(String, at + "decision", lambda m: say("decision", m.data), 10)
    node.create_subscription(Float32, at + "confidence", lambda m: say("confidence", m.data), 10)
    node.create_subscription(String, at + "lines", lambda m: say("lines", m.data), 10)
    node.create_subscription(
        Image,
        at + "picture",
        lambda m: say("picture", [m.width, m.height, m.encoding, m.step, zlib.crc32(bytes(m.data))]),
        qos_profile_sensor_data,
    )
    node.create_subscription(
        DiagnosticArray,
        "/diagnostics",
        lambda m: [
            say("diagnostics", [each.name, each.level[0], {pair.key: pair.value for pair in each.values}])
            for each in m.status
        ],
        10,
    )
    say("ready", namespace)
    rclpy.spin(node)


if __name__ == "__main__":
    main(sys.argv[1])
