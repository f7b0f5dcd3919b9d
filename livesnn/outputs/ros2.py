"""ROS 2: a node that publishes decisions, the picture and diagnostics, with parameters and services."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from array import array
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, TypeVar

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rcl_interfaces.msg import ParameterDescriptor, SetParametersResult
from rclpy.exceptions import InvalidNamespaceException
from rclpy.qos import qos_profile_sensor_data
from rclpy.validate_namespace import validate_namespace
from sensor_msgs.msg import Image
from std_msgs.msg import Float32, String
from std_srvs.srv import SetBool, Trigger

from livesnn.card import ModelCard
from livesnn.console import one_line, sayable
from livesnn.errors import LivesnnError, SourceError
from livesnn.events.cameras.ros2 import RosNode
from livesnn.events.picture import Picture
from livesnn.infer.decide import Decider
from livesnn.outputs.decisions import DecisionFeeds, decided
from livesnn.outputs.loop import STUCK_S, Message, OutputLoop, Receiver
from livesnn.outputs.served_source import ServedSource
from livesnn.threads import Worker, pool

try:
    from vision_msgs.msg import Classification, ObjectHypothesis
except ImportError:  # it has no wheel
    Classification = None

NAME = "livesnn"
DIAGNOSTICS_S = 1.0
ARGUMENTS = "--ros-args"  # In a command line, ROS takes what follows: names, a namespace, parameters.

_KEPT = 10  # messages that ROS keeps for a slow subscriber
_SPUN_S = 0.2  # how late the end of services and parameters can be

T = TypeVar("T")


def given_parameters() -> dict[str, str]:
    """Return source and model, where the command line gives them as parameters of the node. Raises SourceError."""
    if ARGUMENTS not in sys.argv:
        return {}
    options = {"allow_undeclared_parameters": True, "automatically_declare_parameters_from_overrides": True}
    try:
        with RosNode(NAME, sys.argv, start_parameter_services=False, **options) as ros:
            given = {name: ros.node.get_parameter_or(name).value for name in _FIXED}
            return {name: str(value) for name, value in given.items() if value not in (None, "")}
    except RuntimeError as error:
        raise SourceError(f"{ARGUMENTS} can't be read: {one_line(str(error))}") from error


class Ros2Output:
    """Publishes as the node ``livesnn``, in a thread that may wait for ROS. Parameters may change the ``decider``."""

    def __init__(
        self,
        loop: OutputLoop,
        decisions: DecisionFeeds,
        source: ServedSource,
        namespace: str,
        decider: Decider = Decider(),  # noqa: B008 (frozen)
    ) -> None:
        self.decider, self.declared = decider, False  # whether it has the command line's parameters
        self.name = f"decisions to ROS 2 as {_absolute(namespace).rstrip('/')}/{NAME}"
        self._namespace = namespace
        self._loop, self._decisions, self._source = loop, decisions, source
        self._view = source.view(self._wake)
        self._receiver: Receiver | None = None
        loop.start(self)

    def _wake(self) -> None:
        if (receiver := self._receiver) is not None:
            self._loop.call(receiver.wake)

    def say_failure(self, error: BaseException) -> None:
        """Say why nothing that others ask of the node is done any more."""
        self._loop.say("ros2", f"{self.name}: services and parameters have failed ({error}): start livesnn again")

    async def run(self, ready: Callable[[], None]) -> None:
        """Publish until the feed ends. Raises SourceError where ROS takes nothing, or refuses what it is given."""
        node = await _in_thread(_Node, self._namespace, self._decisions, self._source, self)
        with self._decisions.programs.join("ros2") as receiver:
            self._receiver = receiver
            try:
                self.name = f"decisions to ROS 2 as {node.node.get_fully_qualified_name()}"
                ready()
                last: str | None = None
                told_s = 0.0
                while not receiver.ended:
                    await receiver.woken()
                    for message in receiver.take_all():
                        last = decided(message, last)
                        await _in_thread(node.publish_decision, message, last)
                    if (picture := self._view.take()) is not None:
                        await _in_thread(node.publish_picture, picture)
                    if time.monotonic() - told_s >= DIAGNOSTICS_S or receiver.ended:
                        told_s = time.monotonic()
                        status = _status(self._decisions, self._source, ended=receiver.ended)
                        self._view.watched = await _in_thread(node.publish_diagnostics, status)
            finally:
                self._view.watched, self._receiver = False, None
                with suppress(TimeoutError):  # to its end, even where this is cancelled meanwhile
                    async with asyncio.timeout(STUCK_S):
                        await asyncio.shield(asyncio.wrap_future(pool("ros2", 1).submit(node.close)))


async def _in_thread(do: Callable[..., T], *arguments: object) -> T:
    """Do what may wait for ROS. Raises SourceError where it waits for too long."""
    try:
        async with asyncio.timeout(STUCK_S):
            return await asyncio.get_running_loop().run_in_executor(pool("ros2", 1), do, *arguments)
    except TimeoutError as error:
        raise SourceError(f"ROS takes nothing for {STUCK_S:g} s") from error


class _Node(RosNode):
    """A node with its publishers; what others ask of it is answered in a thread of its own."""

    def __init__(self, namespace: str, decisions: DecisionFeeds, source: ServedSource, output: Ros2Output) -> None:
        try:
            validate_namespace(_absolute(namespace))
        except InvalidNamespaceException as error:
            raise SourceError(f"--ros2-namespace can't be {namespace!r}: give a name such as /hall/east") from error
        super().__init__(NAME, sys.argv, namespace=_absolute(namespace))
        self._source, self._output, self._card = source, output, decisions.card
        self._values: dict[str, Any] = {}
        publisher = self.node.create_publisher
        self._decision = publisher(String, "~/decision", _KEPT)
        self._confidence = publisher(Float32, "~/confidence", _KEPT)
        self._lines = publisher(String, "~/lines", _KEPT)
        self._picture = publisher(Image, "~/picture", qos_profile_sensor_data)
        self._diagnostics = publisher(DiagnosticArray, "/diagnostics", _KEPT)
        self._classification: Any = None
        if Classification is not None:
            self._classification = publisher(Classification, "~/classification", _KEPT)
        self.node.create_service(Trigger, "~/reset", self._reset)
        self.node.create_service(SetBool, "~/record", self._record)
        try:
            self._declare_parameters(decisions.greeting)
        except BaseException:
            super().close()
            raise
        self._spinning = Worker("ros2", self._spin, on_error=output.say_failure).start()

    def _spin(self, stop: threading.Event) -> None:
        while not stop.is_set():
            self.spin(_SPUN_S)

    def close(self) -> None:
        self._spinning.stop.set()
        self.wake()
        self._spinning.close()
        super().close()

    # What it publishes

    def publish_decision(self, message: Message, decision: str | None) -> None:
        """Publish a line; and where it isn't a notice, the decision that holds after it, and its probability."""
        if message.row is not None or decision is None:
            self._decision.publish(String(data=sayable(decision or "")))
            confidence = 0.0 if message.row is None else message.row.confidence
            self._confidence.publish(Float32(data=float(confidence)))
            if self._classification is not None:
                self._publish_classes({} if message.row is None else message.row.probabilities)
        self._lines.publish(String(data=message.octets.decode(errors="replace").rstrip("\n")))

    def _publish_classes(self, probabilities: Mapping[str, float]) -> None:
        results = [ObjectHypothesis(class_id=sayable(name), score=p) for name, p in probabilities.items()]
        self._classification.publish(self._stamped(Classification(results=results)))

    def publish_picture(self, picture: Picture) -> None:
        height, width, _ = picture.rgb.shape
        image = Image(height=height, width=width, encoding="rgb8", step=3 * width)
        image.data = array("B", picture.rgb.tobytes())
        self._picture.publish(self._stamped(image))

    def publish_diagnostics(self, status: DiagnosticStatus) -> bool:
        """Publish how it goes; return whether somebody subscribes to the picture."""
        status.name = self.node.get_fully_qualified_name()
        self._diagnostics.publish(self._stamped(DiagnosticArray(status=[status])))
        return bool(self._picture.get_subscription_count() > 0)

    def _stamped(self, message: Any) -> Any:
        message.header.stamp = self.node.get_clock().now().to_msg()
        message.header.frame_id = NAME
        return message

    # What others ask of it

    def _reset(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        self._source.reset()
        response.success, response.message = True, "the network's state is reset before its next frame"
        return response

    def _record(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        try:
            if request.data:
                self._source.record()
            else:
                self._source.stop_recording()
            response.success = True
        except LivesnnError as error:
            response.message = str(error)
        return response

    def _declare_parameters(self, started: Mapping[str, object]) -> None:
        """Declare what ROS gives at the start; and where the node is made anew, what holds. Raises LivesnnError."""
        values = {name: sayable(str(started[name])) for name in _FIXED} | _parameters(self._output.decider)
        any_type = ParameterDescriptor(dynamic_typing=True)
        for name, value in values.items():
            ignored = name in _FIXED or self._output.declared
            declared = self.node.declare_parameter(name, value, any_type, ignore_override=ignored)
            self._values[name] = declared.value
        self._output.decider, self._output.declared = _decider(self._values, self._card), True
        self.node.add_on_set_parameters_callback(self._set)

    def _set(self, parameters: Sequence[Any]) -> SetParametersResult:
        """Decide by other rules from the next frame on, or say why not."""
        changes = {each.name: each.value for each in parameters if each.name in self._values}
        if fixed := [name for name in _FIXED if changes.get(name, self._values[name]) != self._values[name]]:
            reason = f"{fixed[0]} can't change while livesnn runs: start the node again with another one"
            return SetParametersResult(successful=False, reason=reason)
        try:
            self._output.decider = _decider(self._values | changes, self._card)
        except LivesnnError as error:
            return SetParametersResult(successful=False, reason=str(error))
        self._values |= changes
        return SetParametersResult(successful=True)


_FIXED = ("source", "model")  # parameters that hold as long as the node runs


def _parameters(decider: Decider) -> dict[str, object]:
    """Return the rules as values of parameters; None: not set."""
    return {
        "threshold": decider.threshold,
        "keep": decider.hysteresis,
        "smoothing": decider.smoothing,
        "leak": decider.leak,
        "class_threshold": [f"{name} {value:g}" for name, value in decider.thresholds.items()] or None,
        "allow": [*decider.allow] or None,
        "deny": [*decider.deny] or None,
    }


def _decider(values: Mapping[str, Any], card: ModelCard) -> Decider:
    """Return the rules that values of parameters describe. Raises LivesnnError where they can't be."""
    try:
        own = (text.rsplit(maxsplit=1) for text in values["class_threshold"] or ())
        decider = Decider(
            threshold=float(values["threshold"]),
            hysteresis=None if values["keep"] is None else float(values["keep"]),
            smoothing=float(values["smoothing"]),
            leak=float(values["leak"]),
            thresholds={name: float(number) for name, number in own},
            allow=_names(values["allow"]),
            deny=_names(values["deny"]),
        )
    except (AttributeError, TypeError, ValueError) as error:
        raise LivesnnError(
            f"the parameters can't be {values}: give numbers, and lists of names in allow and deny"
        ) from error
    decider.check(card)
    return decider


def _names(value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        raise TypeError(value)
    return tuple(value or ())


def _status(decisions: DecisionFeeds, source: ServedSource, *, ended: bool) -> Any:
    """Return how it goes, without the node's name: stale where nothing comes, an error where the source is lost."""
    level, said = DiagnosticStatus.OK, "decides"
    if ended:
        level, said = DiagnosticStatus.ERROR, "livesnn has ended"
    elif source.lost:
        level, said = DiagnosticStatus.ERROR, source.lost
    elif decisions.last is None:
        level, said = DiagnosticStatus.STALE, "nothing comes from the source"
    latency_ms = decisions.latency_ms() or {}
    recording = source.recording() or {"path": ""}
    values = {
        "source": decisions.greeting["source"],
        "model": decisions.greeting["model"],
        "frames": decisions.counts.total(),
        "dropped_events": decisions.dropped,
        "recording": recording["path"],
        **{f"latency_{name}_ms": f"{ms:.2f}" for name, ms in latency_ms.items()},
    }
    pairs = [KeyValue(key=key, value=sayable(str(value))) for key, value in values.items()]
    return DiagnosticStatus(
        level=level, message=sayable(said), hardware_id=sayable(str(values["source"])), values=pairs
    )


def _absolute(namespace: str) -> str:
    return "/" + namespace.strip("/")
