"""A camera's driver in ROS 2, in another process: publishes events in a coding until it is killed."""

from __future__ import annotations

import itertools
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import rclpy
from dvs_msgs.msg import Event, EventArray
from event_camera_msgs.msg import EventPacket
from rclpy.qos import qos_profile_sensor_data

from livesnn.events.packet import EVENTS_DTYPE, Events, Resolution
from livesnn.events.recording import open_recording
from tests.bag_writer import ENCODERS, encode_mono
from tests.fake_source import joined

SIZE = Resolution(640, 480)
EVERY_US, EVENTS = 20_000, 100


def events_of(number: int) -> Events:
    """Return the events of a message, which tell its number by their times."""
    events = np.empty(EVENTS, EVENTS_DTYPE)
    index = np.arange(EVENTS)
    events["t"] = number * EVERY_US + index * (EVERY_US // EVENTS)
    events["x"], events["y"] = (index * 7 + number) % SIZE.width, (index * 3 + 2 * number) % SIZE.height
    events["p"] = index % 3 == 0
    return events


def recorded(path: str) -> Iterator[tuple[Events, Resolution]]:
    """Yield the events of a recording again and again, those of each 20 ms together; and the sensor's size."""
    with open_recording(Path(path)) as recording:
        events, size = joined(recording), recording.resolution
    events["t"] -= events["t"][0]
    edges = np.arange(EVERY_US, events["t"][-1], EVERY_US)
    parts = np.split(events, np.searchsorted(events["t"], edges))
    while True:
        for part in parts:
            yield part, size
            part["t"] += len(parts) * EVERY_US


def message(number: int, coding: str, events: Events, size: Resolution) -> EventPacket | EventArray:
    """Return a message as drivers publish it."""
    if coding == "dvs_msgs":
        found = EventArray(height=size.height, width=size.width)
        for t, x, y, p in events.tolist():
            one = Event(x=x, y=y, polarity=p)
            one.ts.sec, one.ts.nanosec = t // 1_000_000, t % 1_000_000 * 1000
            found.events.append(one)
        return found
    base_ns = number * EVERY_US * 1000
    found = EventPacket(height=size.height, width=size.width, seq=number, time_base=base_ns, encoding=coding)
    found.events = ENCODERS.get(coding, encode_mono)(events, base_ns)
    found.header.frame_id = "camera"
    return found


def main(topic: str, coding: str, what: str = "1000000") -> None:
    """Publish a message each 20 ms: of a recording; or made ones, of which every so many-th is left out."""
    rclpy.init()
    node = rclpy.create_node("driver")
    kind = EventArray if coding == "dvs_msgs" else EventPacket
    publisher = node.create_publisher(kind, topic, qos_profile_sensor_data)
    made = ((events_of(number), SIZE) for number in itertools.count(1))
    for number, (events, size) in enumerate(made if what.isdecimal() else recorded(what), 1):
        if not what.isdecimal() or number % int(what):
            publisher.publish(message(number, coding, events, size))
        time.sleep(EVERY_US / 1e6)


if __name__ == "__main__":
    main(*sys.argv[1:])
