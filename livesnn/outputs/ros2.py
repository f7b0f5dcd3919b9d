"""ROS 2: a node that publishes decisions, the picture and diagnostics."""

from __future__ import annotations

import asyncio
import time
from array import array
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.exceptions import InvalidNamespaceException
from rclpy.qos import qos_profile_sensor_data
from rclpy.signals import SignalHandlerOptions
from rclpy.validate_namespace import validate_namespace
from sensor_msgs.msg import Image
from std_msgs.msg import Float32, String

from livesnn.errors import LivesnnError, SourceError
from livesnn.events.packet import Packet, Resolution
from livesnn.infer.run import Result
from livesnn.outputs.decisions import DecisionFeeds, decided
from livesnn.outputs.loop import STUCK_S, Message, OutputLoop, Receiver
from livesnn.outputs.served_source import PICTURES_PER_S, Notifying
from livesnn.session.event_picture import Display, Picture
from livesnn.threads import pool

NAME = "livesnn"
DIAGNOSTICS_S = 1.0
_KEPT = 10  # messages that ROS keeps for a slow subscriber

T = TypeVar("T")


class Ros2Output:
    """Publishes as the node ``livesnn``, in a thread that may wait for ROS.

    Parameters
    ----------
    size
        Of the pictures of events; None: the source is a video.
    namespace
        Of the node and its topics.
    """

    def __init__(
        self, loop: OutputLoop, decisions: DecisionFeeds, size: Resolution | None, namespace: str
    ) -> None:
        self._namespace = "/" + namespace.strip("/")
        self.name = f"decisions to ROS 2 as {self._namespace.rstrip('/')}/{NAME}"
        self._loop, self._decisions = loop, decisions
        self._pictures = Notifying()
        self._pictures.notify = self._wake
        self._display = Display(size or Resolution(1, 1), self._pictures, every_s=1 / PICTURES_PER_S)
        self._is_video = size is None
        self._receiver: Receiver | None = None
        self._watched = False  # somebody subscribes to the picture
        loop.start(self)

    def see_packet(self, packet: Packet) -> None:
        """Look at an upright packet, noise included, in the thread that reads the source."""
        if self._watched:
            self._display.add(packet.events, packet.arrived_s or time.perf_counter(), 0)

    def see_result(self, result: Result) -> None:
        """Look at a result: the picture of a video is its frame."""
        if self._is_video and self._watched:
            self._display.show_frame(result.frame, 0)

    def _wake(self) -> None:
        if (receiver := self._receiver) is not None:
            self._loop.call(receiver.wake)

    async def run(self, ready: Callable[[], None]) -> None:
        """Publish until the feed ends. Raises SourceError where ROS takes nothing, or refuses the namespace."""
        node = await _in_thread(_Node, self._namespace)
        receiver = self._receiver = self._decisions.programs.join("ros2")
        try:
            ready()
            last: str | None = None
            told_s = 0.0
            while not receiver.ended:
                await receiver.woken()
                for message in receiver.take_all():
                    last = decided(message, last)
                    await _in_thread(node.publish_decision, message, last)
                if (picture := self._pictures.take()) is not None:
                    await _in_thread(node.publish_picture, picture)
                if time.monotonic() - told_s >= DIAGNOSTICS_S or receiver.ended:
                    told_s = time.monotonic()
                    status = _status(self._decisions, ended=receiver.ended)
                    self._watched = await _in_thread(node.publish_diagnostics, status)
        finally:
            self._watched, self._receiver = False, None
            self._decisions.programs.leave(receiver)
            with suppress(LivesnnError):
                await _in_thread(node.close)


async def _in_thread(do: Callable[..., T], *arguments: object) -> T:
    """Do what may wait for ROS. Raises SourceError where it waits for too long."""
    try:
        async with asyncio.timeout(STUCK_S):
            return await asyncio.get_running_loop().run_in_executor(pool("ros2", 1), do, *arguments)
    except TimeoutError as error:
        raise SourceError(f"ROS takes nothing for {STUCK_S:g} s") from error


class _Node:
    """A node with its publishers, in a context of its own: signals stay livesnn's, and ROS may be used beside it.

    Nothing is spun: it has no subscriptions, services or timers.
    """

    def __init__(self, namespace: str) -> None:
        try:
            validate_namespace(namespace)
        except InvalidNamespaceException as error:
            raise SourceError(
                f"--ros2-namespace can't be {namespace!r}: give a name such as /hall/east"
            ) from error
        self._context = rclpy.Context()
        rclpy.init(args=[], context=self._context, signal_handler_options=SignalHandlerOptions.NO)
        self._node = rclpy.create_node(
            NAME, namespace=namespace, context=self._context, start_parameter_services=False
        )
        publisher = self._node.create_publisher
        self._decision = publisher(String, "~/decision", _KEPT)
        self._confidence = publisher(Float32, "~/confidence", _KEPT)
        self._lines = publisher(String, "~/lines", _KEPT)
        self._picture = publisher(Image, "~/picture", qos_profile_sensor_data)
        self._diagnostics = publisher(DiagnosticArray, "/diagnostics", _KEPT)

    def publish_decision(self, message: Message, decision: str | None) -> None:
        """Publish a line; and where it isn't a notice, the decision that holds after it, and its probability."""
        if message.row is not None or decision is None:
            self._decision.publish(String(data=_sayable(decision or "")))
            confidence = 0.0 if message.row is None else message.row.confidence
            self._confidence.publish(Float32(data=float(confidence)))
        self._lines.publish(String(data=message.octets.decode(errors="replace").rstrip("\n")))

    def publish_picture(self, picture: Picture) -> None:
        """Publish a picture, rgb8."""
        height, width, _ = picture.rgb.shape
        image = Image(height=height, width=width, encoding="rgb8", step=3 * width)
        image.data = array("B", picture.rgb.tobytes())
        image.header.stamp = self._node.get_clock().now().to_msg()
        image.header.frame_id = NAME
        self._picture.publish(image)

    def publish_diagnostics(self, status: DiagnosticStatus) -> bool:
        """Publish how it goes; return whether somebody subscribes to the picture."""
        status.name = self._node.get_fully_qualified_name()
        diagnostics = DiagnosticArray(status=[status])
        diagnostics.header.stamp = self._node.get_clock().now().to_msg()
        self._diagnostics.publish(diagnostics)
        return bool(self._picture.get_subscription_count() > 0)

    def close(self) -> None:
        """Take the node out of the graph."""
        self._node.destroy_node()
        self._context.shutdown()


def _status(decisions: DecisionFeeds, *, ended: bool) -> Any:
    """Return how it goes, without the node's name: stale where nothing comes, an error once it has ended."""
    level, said = DiagnosticStatus.OK, "decides"
    if ended:
        level, said = DiagnosticStatus.ERROR, "livesnn has ended"
    elif decisions.last is None:
        level, said = DiagnosticStatus.STALE, "nothing comes from the source"
    latency_ms = decisions.latency_ms() or {}
    values = {
        "source": decisions.greeting["source"],
        "model": decisions.greeting["model"],
        "frames": decisions.counts.total(),
        "dropped_events": decisions.dropped,
        **{f"latency_{name}_ms": f"{ms:.2f}" for name, ms in latency_ms.items()},
    }
    pairs = [KeyValue(key=key, value=_sayable(str(value))) for key, value in values.items()]
    return DiagnosticStatus(
        level=level, message=said, hardware_id=_sayable(str(values["source"])), values=pairs
    )


def _sayable(text: str) -> str:
    return text.encode(errors="replace").decode()
