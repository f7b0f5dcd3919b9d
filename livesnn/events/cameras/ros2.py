"""ROS 2: the topic of a camera's driver as a source, and a node, which outputs/ros2.py publishes with.

A message is taken as its octets, which ros_messages.py decodes. ROS still needs the message's package to subscribe.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any, TypeVar

import numpy as np

from livesnn.errors import SourceError
from livesnn.events.cameras.driver import SourceLost
from livesnn.events.cameras.reconnecting import QuietTime, ReconnectingSource
from livesnn.events.formats.ros_messages import EVENT_TYPES, Decoder, Head, MessageError, read_head
from livesnn.events.packet import NO_EVENTS, Closing, Events, EventSource, SourceCounters, put_in_order
from livesnn.files import closed_on_error
from livesnn.progress import Notify

T = TypeVar("T")

FOUND_S = 5.0  # ROS has so long to find who publishes the topic, and that again to bring the first message.

LATE_US = 100_000  # A driver collects events into a message, and ROS delivers it, in this time.

_KEPT = 1000  # messages that ROS keeps for a reader that is busy: a second of most drivers
_SPUN_S = 0.1
_LOOK_S = 1.0  # between two looks at who publishes


class RosNode(Closing):
    """A node in a context of its own: signals stay livesnn's, and ROS may be used beside it.

    ``arguments``: a command line, of which ROS takes what follows --ros-args. ``options``: of `rclpy.create_node`.
    """

    def __init__(self, name: str, arguments: Sequence[str] = (), **options: Any) -> None:
        import rclpy
        from rclpy.executors import SingleThreadedExecutor
        from rclpy.signals import SignalHandlerOptions

        self._context = rclpy.Context()
        rclpy.init(args=[*arguments], context=self._context, signal_handler_options=SignalHandlerOptions.NO)
        try:
            self.node = rclpy.create_node(name, context=self._context, **options)
            self._executor = SingleThreadedExecutor(context=self._context)
            self._executor.add_node(self.node)
        except BaseException:
            self._context.shutdown()
            raise

    def spin(self, timeout_s: float) -> None:
        """Wait at most so long for a message, a request or a timer, and let it be handled in this thread."""
        self._executor.spin_once(timeout_sec=timeout_s)

    def wake(self) -> None:
        """End `spin` at once; from any thread."""
        self._executor.wake()

    def close(self) -> None:
        """Take the node out of the graph; not while it spins. Safe to call twice."""
        if self._context.ok():
            self._executor.shutdown()
            self.node.destroy_node()
            self._context.shutdown()


def open_topic(uri: str, *, notify: Notify) -> EventSource:
    """Subscribe to ``ros2:/TOPIC``, and again whenever somebody publishes it anew.

    Raises SourceError when ROS 2 or the messages' package is missing, nobody publishes the topic, or what comes isn't
    events.
    """
    topic = uri.partition(":")[2]
    if not topic.startswith("/"):
        raise SourceError(f"{uri}: give the topic's full name, such as ros2:/event_camera/events")
    return ReconnectingSource(lambda: TopicConnection(topic), notify=notify)


class TopicConnection:
    """One subscription, a `Connection`; for one thread at a time. Raises SourceError as `open_topic` does."""

    def __init__(self, topic: str, *, found_s: float = FOUND_S) -> None:
        self.name = f"ros2:{topic}"
        self.counters = SourceCounters()
        self._topic = topic
        self._messages: deque[bytes] = deque()
        self._quiet = QuietTime(LATE_US)
        self._number: int | None = None  # of the newest message
        self._looked_s = time.monotonic()
        try:
            self._ros = RosNode("livesnn_source", start_parameter_services=False)
        except ImportError as error:
            raise SourceError(
                f"{self.name} needs ROS 2, and {error.name or error} is missing: source its setup.bash, or "
                "pip install 'livesnn[ros2]'"
            ) from error
        with closed_on_error(self):
            self._packed = self._subscribe(found_s)
            no_message = f"no message came in {found_s:g} s: check the camera, and that its lens is open"
            self._wait_for(lambda: self._messages, found_s, no_message)
            try:
                head = self._head(self._messages[0])
                if head.resolution is None:
                    raise SourceError(f"{self.name}: the messages don't give the sensor's size")
                self.resolution = head.resolution
                for _ in Decoder(self.resolution, SourceCounters()).decode(self._messages[0], head, None):
                    pass
            except MessageError as error:
                raise SourceError(f"{self.name}: a message can't be read: {error}") from error
            self._decoder = Decoder(self.resolution, self.counters)

    def _subscribe(self, found_s: float) -> bool:
        """Subscribe once somebody publishes; return whether a message's events are packed, as in `EVENT_TYPES`."""
        nobody = "nobody publishes this topic: start the camera's driver, or look for it with ros2 topic list"
        found = self._wait_for(self._published, found_s, nobody)
        kind = next((kind for kind in found if kind in EVENT_TYPES), None)
        if kind is None:
            raise SourceError(f"{self.name} has {found[0]}, not events: give a topic of events")
        package, _, name = kind.split("/")
        try:
            message = getattr(import_module(f"{package}.msg"), name)
        except ImportError as error:
            raise SourceError(
                f"{self.name} needs the ROS package {package}: sudo apt install "
                f"ros-$ROS_DISTRO-{package.replace('_', '-')}, or build it with colcon"
            ) from error
        from rclpy.qos import QoSProfile, ReliabilityPolicy

        # Best effort takes what every publisher offers.
        quality = QoSProfile(depth=_KEPT, reliability=ReliabilityPolicy.BEST_EFFORT)
        self._ros.node.create_subscription(message, self._topic, self._keep, quality, raw=True)
        return EVENT_TYPES[kind]

    def _keep(self, octets: bytes) -> None:
        self._messages.append(octets)  # rclpy takes no built-in function

    def _published(self) -> list[str]:
        """Return the types that the topic is published with; none where nobody publishes it."""
        return [each.topic_type for each in self._ros.node.get_publishers_info_by_topic(self._topic)]

    def _wait_for(self, what: Callable[[], T], found_s: float, otherwise: str) -> T:
        """Return it once there is some; raises SourceError where there is none in the time."""
        deadline_s = time.monotonic() + found_s
        while not (found := what()):
            if time.monotonic() > deadline_s:
                raise SourceError(f"{self.name}: {otherwise}")
            self._ros.spin(_SPUN_S)
        return found

    def _head(self, octets: bytes) -> Head:
        return read_head(octets, cdr=True, packed=self._packed)

    def read(self, timeout_s: float) -> tuple[Events, int | None]:
        """See `Connection.read`; SourceLost: nobody publishes the topic any more, or a message is damaged."""
        if not self._messages:
            self._ros.spin(timeout_s)
        if self._messages:
            try:
                return self._decode(self._messages.popleft()), self._quiet.now_us
            except MessageError as error:
                self.close()
                raise SourceLost(
                    f"{self.name}: a message can't be read ({error}): check the camera's driver"
                ) from error
        self._quiet.go_on(timeout_s)
        if time.monotonic() - self._looked_s > _LOOK_S:
            self._looked_s = time.monotonic()
            if not self._published():
                self.close()
                raise SourceLost(
                    f"{self.name}: nobody publishes this topic any more: start the camera's driver again"
                )
        return NO_EVENTS, self._quiet.now_us

    def _decode(self, octets: bytes) -> Events:
        head = self._head(octets)
        missed = 0
        if head.number is not None:
            missed = 0 if self._number is None else max(head.number - self._number - 1, 0)
            self._number = head.number
        if missed:  # EVT 3.0 goes on where the message before ended
            self._decoder = Decoder(self.resolution, self.counters)
        newest_us = self._quiet.newest_us
        parts = [NO_EVENTS, *self._decoder.decode(octets, head, newest_us if missed else None)]
        events = put_in_order(np.concatenate(parts), self.resolution, newest_us, self.counters)
        self.counters.events += events.size
        self.counters.dropped += missed * events.size  # about as many as now
        self._quiet.note_packet(events)
        return events

    def close(self) -> None:
        self._ros.close()
