"""A camera's driver in ROS 2, in another process: publishes events in a coding until it is killed."""

from __future__ import annotations

import sys
import time

import numpy as np
import rclpy
from dvs_msgs.msg import Event, EventArray
from event_camera_msgs.msg import EventPacket
from rclpy.qos import qos_profile_sensor_data

from livesnn.events.packet import EVENTS_DTYPE, Events, Resolution
from tests.bag_writer import encode_evt3, encode_libcaer, encode_libcaer_cmp, encode_mono

SIZE = Resolution(640, 480)
EVERY_US, EVENTS = 20_000, 100
ENCODERS = {
    "evt3": encode_evt3,
    "libcaer": encode_libcaer,
    "libcaer_cmp": encode_libcaer_cmp,
    "mono": encode_mono,
}


def events_of(number: int) -> Events:
    """Return the events of a message, which tell its number by their times."""
    events = np.empty(EVENTS, EVENTS_DTYPE)
    index = np.arange(EVENTS)
    events["t"] = number * EVERY_US + index * (EVERY_US // EVENTS)
    events["x"], events["y"] = (index * 7 + number) % SIZE.width, (index * 3 + 2 * number) % SIZE.height
    events["p"] = index % 3 == 0
    return events


def message(number: int, coding: str) -> EventPacket | EventArray:
    """Return a message as drivers publish it."""
    events = events_of(number)
    if coding == "dvs_msgs":
        found = EventArray(height=SIZE.height, width=SIZE.width)
        for t, x, y, p in events.tolist():
            one = Event(x=x, y=y, polarity=p)
            one.ts.sec, one.ts.nanosec = t // 1_000_000, t % 1_000_000 * 1000
            found.events.append(one)
        return found
    base_ns = number * EVERY_US * 1000
    found = EventPacket(height=SIZE.height, width=SIZE.width, seq=number, time_base=base_ns, encoding=coding)
    found.events = ENCODERS.get(coding, encode_mono)(events, base_ns)
    found.header.frame_id = "camera"
    return found


def main(topic: str, coding: str, leave_out: int = 0) -> None:
    """Publish a message each 20 ms, but for every so many-th one (0: all), whose number is left out."""
    rclpy.init()
    node = rclpy.create_node("driver")
    kind = EventArray if coding == "dvs_msgs" else EventPacket
    publisher = node.create_publisher(kind, topic, qos_profile_sensor_data)
    number = 1
    while True:
        if not leave_out or number % leave_out:
            publisher.publish(message(number, coding))
        number += 1
        time.sleep(EVERY_US / 1e6)


if __name__ == "__main__":
    main(*sys.argv[1:3], *map(int, sys.argv[3:]))
