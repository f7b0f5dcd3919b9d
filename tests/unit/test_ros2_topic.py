"""A ROS 2 topic as a source: what a driver in another process publishes, and what is said where nothing comes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from livesnn.errors import SourceError
from livesnn.events.packet import Events, Packet
from livesnn.paths import recordings_dir
from livesnn.sources import open_source

pytest.importorskip("rclpy", reason="needs ROS 2: make test-ros")
pytest.importorskip("event_camera_msgs", reason="needs its ROS package: make test-ros")
pytest.importorskip("dvs_msgs", reason="needs its ROS package: make test-ros")

from livesnn.events.cameras.ros2 import TopicConnection
from tests.ros_publisher import EVENTS, EVERY_US, SIZE, events_of

pytestmark = [
    pytest.mark.timeout(200),
    pytest.mark.filterwarnings("ignore:module 'sre_.*' is deprecated:DeprecationWarning"),  # lark's
]
WAIT_S = 60.0  # DDS takes seconds to find others on a busy machine
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module", autouse=True)
def this_computer() -> Iterator[None]:
    """Keep what the tests say on this computer."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
        patch.setenv("ROS_DOMAIN_ID", str(os.getpid() % 100))
        yield


Publish = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def publish() -> Iterator[Publish]:
    """Yield what starts a driver that publishes a topic in a coding."""
    started: list[subprocess.Popen[bytes]] = []

    def start(topic: str, coding: str, *options: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "tests.ros_publisher", topic, coding, *options]
        started.append(subprocess.Popen(command, cwd=ROOT))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()


def connect(topic: str) -> TopicConnection:
    return TopicConnection(topic, found_s=WAIT_S)


def read(connection: TopicConnection, messages: int) -> list[Events]:
    """Return the events of so many messages."""
    found: list[Events] = []
    ends_s = time.monotonic() + WAIT_S
    while len(found) < messages:
        assert time.monotonic() < ends_s
        events, _ = connection.read(0.1)
        if events.size:
            found.append(events)
    return found


@pytest.mark.parametrize("coding", ["mono", "evt3", "libcaer", "libcaer_cmp", "dvs_msgs"])
def test_the_events_are_those_that_a_driver_publishes(publish: Publish, coding: str) -> None:
    publish(f"/{coding}", coding)
    connection = connect(f"/{coding}")
    try:
        assert connection.resolution == SIZE
        messages = read(connection, 5)
    finally:
        connection.close()
    for events in messages:
        np.testing.assert_array_equal(events, events_of(int(events["t"][0]) // EVERY_US))
    assert connection.counters.events == 5 * EVENTS
    assert connection.counters.out_of_order == connection.counters.out_of_bounds == 0


def test_messages_that_are_missing_are_counted_as_dropped_events(publish: Publish) -> None:
    publish("/gaps", "mono", "4")  # every fourth is left out
    connection = connect("/gaps")
    try:
        numbers = [int(events["t"][0]) // EVERY_US for events in read(connection, 8)]
    finally:
        connection.close()
    missing = sum(after - before - 1 for before, after in pairwise(numbers))
    assert missing >= 2
    assert connection.counters.dropped == missing * EVENTS


def test_a_driver_that_is_killed_and_comes_back_is_read_on(publish: Publish) -> None:
    """ROS says that it is gone after 20 s; time goes on meanwhile, so a decision is taken back."""
    said: list[str] = []
    first = publish("/killed", "evt3")
    source = open_when_there("ros2:/killed", said.append)
    try:
        packets = iter(source)
        first_packet(packets, lambda packet: packet.events.size > 0)
        first.kill()
        last_us = first_packet(packets, lambda packet: packet.events.size == 0).now_us
        assert last_us is not None
        quiet = first_packet(packets, lambda packet: (packet.now_us or 0) > last_us + 1_000_000)
        assert quiet.events.size == 0
        first_packet(packets, lambda packet: bool(said))
        assert "nobody publishes this topic any more: start the camera's driver again" in said[0]
        publish("/killed", "evt3")
        again = first_packet(packets, lambda packet: packet.events.size > 0)
        assert again.epoch > quiet.epoch
        assert said[-1] == "ros2:/killed is back: going on"
    finally:
        source.close()


def open_when_there(uri: str, notify: Callable[[str], None]) -> Iterator[Packet]:
    """Open a source as soon as ROS has found its driver, which takes seconds on a busy machine."""
    ends_s = time.monotonic() + WAIT_S
    while True:
        try:
            return open_source(uri, notify=notify)  # type: ignore[return-value]
        except SourceError:
            assert time.monotonic() < ends_s


def first_packet(packets: Iterator[Packet], wanted: Callable[[Packet], bool]) -> Packet:
    ends_s = time.monotonic() + WAIT_S
    for packet in packets:
        if wanted(packet):
            return packet
        assert time.monotonic() < ends_s
    raise AssertionError("it ended")


@pytest.mark.slow
def test_what_a_driver_shows_is_decided_until_two_seconds_after_it_is_killed(publish: Publish) -> None:
    driver = publish("/arms", "evt3", str(recordings_dir() / "arm_roll.aedat4"))
    connect("/arms").close()  # it is there
    command = [sys.executable, "-m", "livesnn", "run", "ros2:/arms", "--json", "--every", "frame"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stdout is not None
            rows = map(json.loads, process.stdout)
            assert any(row["decision"] == "arm_roll" for row in rows)
            driver.kill()
            silent = next(row for row in rows if row["silence_s"] is not None)
            assert silent["decision"] is None
            assert silent["silence_s"] < 2.0
        finally:
            process.kill()


def test_a_topic_that_nobody_publishes_is_an_error() -> None:
    with pytest.raises(SourceError, match="nobody publishes this topic: start the camera's driver"):
        TopicConnection("/nobody", found_s=0.5)


def test_a_topic_of_something_else_is_an_error(publish: Publish) -> None:
    with pytest.raises(SourceError, match="has std_msgs/msg/String, not events"):
        publish_strings_and_connect()


def publish_strings_and_connect() -> None:
    from std_msgs.msg import String

    from livesnn.events.cameras.ros2 import RosNode

    with RosNode("words") as ros:
        ros.node.create_publisher(String, "/words", 10)
        connect("/words")


def test_a_coding_that_cannot_be_read_is_an_error(publish: Publish) -> None:
    publish("/strange", "trigger")
    with pytest.raises(SourceError, match="a message can't be read: its events are coded as 'trigger'"):
        connect("/strange")


def test_a_topic_needs_its_full_name() -> None:
    with pytest.raises(SourceError, match="give the topic's full name, such as ros2:/event_camera/events"):
        open_source("ros2:events")
