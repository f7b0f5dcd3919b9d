"""A ROS 2 program in another process: prints a line of JSON for each message that livesnn or a robot publishes.

It asks livesnn's node for what it reads from stdin, as JSON too: ["reset", null], ["record", true],
["set", {"threshold": 0.9}], ["get", ["threshold"]]. What is answered is another line.
"""

from __future__ import annotations

import json
import sys
import threading
import zlib
from contextlib import suppress
from typing import Any

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import Twist
from rclpy.node import Node
from rclpy.parameter import Parameter, parameter_value_to_python
from rclpy.parameter_client import AsyncParameterClient
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import Image
from std_msgs.msg import Float32, String
from std_srvs.srv import SetBool, Trigger


def say(topic: str, value: object) -> None:
    sys.stdout.write(json.dumps([topic, value]) + "\n")
    sys.stdout.flush()


def ask_all(node: Node, at: str) -> None:
    """Ask for what comes by stdin, in a thread of its own."""
    reset, record = node.create_client(Trigger, at + "reset"), node.create_client(SetBool, at + "record")
    parameters = AsyncParameterClient(node, at.rstrip("/"))
    for line in sys.stdin:
        what, value = json.loads(line)
        ask(node, reset, record, parameters, what, value)


def ask(node: Node, reset: Any, record: Any, parameters: Any, what: str, value: Any) -> None:
    """Ask once livesnn is there, and say what it answers."""
    if what in ("reset", "record"):
        client, request = (reset, Trigger.Request()) if what == "reset" else (record, SetBool.Request(data=value))
        client.wait_for_service()
        answer = client.call_async(request)
        answer.add_done_callback(lambda done: say(what, [done.result().success, done.result().message]))
        return
    parameters.wait_for_services()
    if what == "set":
        answer = parameters.set_parameters_atomically([Parameter(name, value=v) for name, v in value.items()])
        answer.add_done_callback(
            lambda done: say(what, [done.result().result.successful, done.result().result.reason])
        )
    else:
        answer = parameters.get_parameters(value)
        answer.add_done_callback(
            lambda done: say(what, [parameter_value_to_python(each) for each in done.result().values])
        )


def main(namespace: str) -> None:
    """Subscribe, and spin until it is killed."""
    rclpy.init()
    node = rclpy.create_node("listener")
    at = namespace.rstrip("/") + "/livesnn/"
    node.create_subscription(String, at + "decision", lambda m: say("decision", m.data), 10)
    node.create_subscription(Float32, at + "confidence", lambda m: say("confidence", m.data), 10)
    node.create_subscription(String, at + "lines", lambda m: say("lines", m.data), 10)
    node.create_subscription(Twist, namespace.rstrip("/") + "/cmd_vel", lambda m: say("cmd_vel", m.linear.x), 10)
    with suppress(ImportError):
        from vision_msgs.msg import Classification

        node.create_subscription(
            Classification,
            at + "classification",
            lambda m: say("classification", {each.class_id: each.score for each in m.results}),
            10,
        )
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
            say(
                "diagnostics",
                [each.name, each.level[0], {pair.key: pair.value for pair in each.values} | {"": each.message}],
            )
            for each in m.status
        ],
        10,
    )
    threading.Thread(target=ask_all, args=(node, at), daemon=True).start()
    say("ready", namespace)
    rclpy.spin(node)


if __name__ == "__main__":
    main(sys.argv[1])
