"""What commands take: a source, a model, the camera's mounting, when there is a decision, who is told of it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from shutil import which
from typing import TYPE_CHECKING, Annotated, Any, Literal

from livesnn.cli.parser import Flag
from livesnn.errors import LivesnnError, SourceError
from livesnn.files import expanded

if TYPE_CHECKING:
    import ssl

    from livesnn.events.cameras.network import Address
    from livesnn.events.cameras.sensitivity import SensorSettings
    from livesnn.events.filters import Orientation
    from livesnn.infer.run import Result
    from livesnn.outputs.decisions import DecisionFeeds
    from livesnn.outputs.loop import OutputLoop

    Start = Callable[[OutputLoop, DecisionFeeds], str]

Model = Annotated[str | None, Flag("MODEL")]
Engine = Literal["auto", "onnx", "spike", "torch"]
Seconds = Annotated[float | None, Flag("SECONDS")]
Place = Annotated[str | None, Flag("[HOST:]PORT")]

HERE = "127.0.0.1"
TOKEN, SHORTEST_TOKEN = "LIVESNN_TOKEN", 16


@dataclass(frozen=True)
class Mounting:
    """The camera: how it is mounted, and how its sensor is set up."""

    rotate: Annotated[int | None, Flag("DEGREES")] = None
    """Rotate the picture clockwise by 0, 90, 180 or 270 degrees; 180 is for a camera that hangs upside down."""

    mirror: bool = False
    """Swap left and right before rotating, for a camera that looks into a mirror."""

    bias: Annotated[Path | None, Flag("FILE")] = None
    """Set up an event camera's sensor from this file. Camera → Sensitivity in the window saves such files."""

    @property
    def orientation(self) -> Orientation | None:
        from livesnn.events.filters import Orientation

        if self.rotate is None and not self.mirror:
            return None
        if (degrees := self.rotate or 0) not in (0, 90, 180, 270):
            raise SourceError(f"--rotate can't be {degrees}: give 0, 90, 180 or 270 degrees")
        return Orientation(degrees // 90, self.mirror)

    @property
    def upright(self) -> Orientation:
        from livesnn.events.filters import Orientation

        return self.orientation or Orientation()

    @property
    def sensor(self) -> SensorSettings | None:
        from livesnn.events.cameras.sensitivity import load_settings

        return None if self.bias is None else load_settings(expanded(self.bias))


AS_IT_COMES = Mounting()


@dataclass(frozen=True)
class DecisionFlags:
    """When there is a decision."""

    threshold: Annotated[float | None, Flag("PROBABILITY")] = None
    """Smallest probability that makes a decision. Default: 0.5, or in the window your last choice."""

    hysteresis: Annotated[float | None, Flag("PROBABILITY", ("hysteresis", "keep"))] = None
    """A decision stays until its probability falls below this, or until another class reaches its threshold.
    Default: 0.2 of --threshold, or of the class's own threshold if that is higher. In the window: your last
    choice."""

    smoothing: Annotated[float | None, Flag("SHARE")] = None
    """How much of the previous frame's probabilities is mixed into this frame's, from 0 to below 1. More makes
    decisions steadier, but later. Default: 0, or in the window your last choice."""

    leak: Annotated[float | None, Flag("SHARE")] = None
    """How much less a frame counts than the one after it, from 0 to below 1. More makes decisions earlier, but less
    steady. At 0 all frames of the window count the same. Default: 0.22, or in the window your last choice."""

    class_threshold: tuple[tuple[str, float], ...] = ()
    """Set the threshold of one class, such as other 0.7. In the window, this flag, --allow and --deny apply to the
    model that it opens with."""

    allow: tuple[str, ...] = ()
    """Decide only these classes."""

    deny: tuple[str, ...] = ()
    """Never decide these classes. While one of them is the likeliest, there is no decision."""

    @property
    def given(self) -> dict[str, Any]:
        """The fields of a `Decider` that were given, for `Decider.merge`."""
        thresholds = dict(self.class_threshold)
        if len(thresholds) < len(self.class_threshold):
            raise LivesnnError("--class-threshold names a class twice: leave one out")
        fields = vars(self) | {"thresholds": thresholds}
        del fields["class_threshold"]
        return {name: value for name, value in fields.items() if value not in (None, (), {})}


AS_USUAL = DecisionFlags()


@dataclass(frozen=True)
class ActionFlags:
    """What to do when a gesture is decided."""

    on_decision: Annotated[str | None, Flag("COMMAND")] = None
    """Run this program and its arguments each time the decision changes to a gesture. It runs without a shell. The
    variables LIVESNN_DECISION, LIVESNN_CONFIDENCE and LIVESNN_T (microseconds) describe the decision."""

    on_decision_held: Annotated[int, Flag("MILLISECONDS")] = 0
    """Run it once the gesture has been decided for this long."""

    on_decision_every: Annotated[float, Flag("SECONDS")] = 1.0
    """Run it at most once in this many seconds of the source."""

    @contextmanager
    def following(self, say: Callable[[str], None], *, live: bool) -> Iterator[Callable[[Result], object]]:
        """Yield what follows each result; ``say`` gets a line when the program fails or is too slow."""
        if self.on_decision is None:
            yield lambda result: None
            return
        from livesnn.outputs.action import Action, ActionRunner, Rule, split_command

        action = Action("command", split_command(self.on_decision))
        if which(action.arguments[0]) is None:
            raise LivesnnError(
                f"--on-decision: there is no program {action.arguments[0]!r} that can be run: give its full path"
            )
        rule = Rule(action, held_ms=self.on_decision_held, every_s=self.on_decision_every)
        with ActionRunner((rule,), say, live=live) as runner:
            yield runner.see
        if runner.dropped:
            say(f"{action.words}: skipped {runner.dropped} times, because it took too long")


NO_ACTION = ActionFlags()


@dataclass(frozen=True)
class PageFlags:
    """Web page."""

    control: bool = False
    """Let the page start and stop recordings, and reset the network's state."""

    recordings: Annotated[Path, Flag("FOLDER")] = Path()
    """Folder for recordings that the page or ROS 2 starts. Default: the current folder."""

    auth: bool = True
    """Ask for a token if other computers can connect. The printed address contains it. With --no-auth, everybody who
    can reach the port is let in."""

    cert: Annotated[Path | None, Flag("FILE")] = None
    """Encrypt with this certificate, a PEM file."""

    key: Annotated[Path | None, Flag("FILE")] = None
    """The certificate's private key, a PEM file."""

    def check(self) -> None:
        """Raise SourceError where the page couldn't be served so."""
        folder = expanded(self.recordings)
        if folder.exists() and not folder.is_dir():
            raise SourceError(f"--recordings {folder} is a file: give a folder")
        self.tls()
        self.token()

    def tls(self) -> ssl.SSLContext | None:
        """Return what encrypts connections; None: nothing is encrypted. Raises SourceError."""
        if self.cert is None and self.key is None:
            return None
        if self.cert is None or self.key is None:
            raise SourceError("--cert and --key belong together: give both, or neither")
        from livesnn.outputs.web import load_tls

        return load_tls(expanded(self.cert), expanded(self.key))

    @staticmethod
    def token() -> str:
        """Return LIVESNN_TOKEN of the environment, for programs that connect again; "" if there is none.

        Raises SourceError where it could be guessed, or no program could send it.
        """
        token = os.environ.get(TOKEN, "")
        if 0 < len(token) < SHORTEST_TOKEN:
            raise SourceError(f"{TOKEN} is shorter than {SHORTEST_TOKEN} characters: choose a longer one")
        if token != token.strip() or not (token.isascii() and token.isprintable()):
            raise SourceError(f"{TOKEN} can't be sent as it is: choose letters and digits")
        return token


PLAIN_PAGE = PageFlags()


@dataclass(frozen=True)
class ReceiverFlags:
    """Other receivers."""

    mqtt: Annotated[str | None, Flag("URL")] = None
    """Publish decisions by this MQTT broker: mqtt://HOST:PORT, or mqtts://USER:PASSWORD@HOST:PORT/TOPIC with TLS.
    Needs livesnn[mqtt]."""

    mqtt_ca: Annotated[Path | None, Flag("FILE")] = None
    """Trust the certificate authorities in this PEM file for the broker. Default: the system's."""

    osc: Annotated[str | None, Flag("[HOST:]PORT")] = None
    """Send decisions by OSC here, such as to TouchDesigner, Max or Processing. Needs livesnn[osc]."""

    ros2: bool = False
    """Publish decisions, the picture and diagnostics as a ROS 2 node, livesnn. It has parameters and services, and
    takes --ros-args at the end of the line. Needs ROS 2: source its setup.bash, or install livesnn[ros2]."""

    ros2_namespace: str = "/"
    """Namespace of the node and its topics, to tell several cameras apart."""

    def starts(self) -> list[Start]:
        """Return what starts each that gets only lines, and returns what is to be said. Raises LivesnnError."""
        starts: list[Start] = []
        if self.mqtt is not None:
            with _needing("mqtt"):
                from livesnn.outputs.mqtt import MqttOutput, parse_broker
            broker = parse_broker(self.mqtt, None if self.mqtt_ca is None else expanded(self.mqtt_ca))
            starts.append(lambda loop, told: MqttOutput(loop, broker, told).name)
        if self.osc is not None:
            place = place_of("--osc", self.osc)
            with _needing("osc"):
                from livesnn.outputs.osc import OscOutput
            starts.append(lambda loop, told: OscOutput(loop, place, told).name)
        return starts

    @property
    def ros2_node(self) -> str | None:
        """Namespace of the node; None: there is none. Raises LivesnnError where ROS 2 is missing."""
        if not self.ros2:
            return None
        with _needing("ros2"):
            import livesnn.outputs.ros2  # noqa: F401
        return self.ros2_namespace


NO_RECEIVERS = ReceiverFlags()


@contextmanager
def _needing(extra: str) -> Iterator[None]:
    try:
        yield
    except ImportError as error:
        missing = error.name if isinstance(error, ModuleNotFoundError) else error
        raise LivesnnError(f"--{extra} needs {missing}: pip install 'livesnn[{extra}]'") from error


def place_of(flag: str, text: str) -> Address:
    """Read [HOST:]PORT; an IPv6 address stands in brackets. Raises LivesnnError."""
    from livesnn.events.cameras.network import Address
    from livesnn.outputs.loop import LAST_PORT

    host, _, port = text.rpartition(":")
    if not (port.isascii() and port.isdecimal()) or int(port[:6]) > LAST_PORT or "/" in host:
        raise LivesnnError(f"{flag} can't be {text!r}: give a port from 1 to {LAST_PORT}, or HOST:PORT")
    if ":" in host and not host.startswith("["):
        raise LivesnnError(f"{flag} can't be {text!r}: write an IPv6 address in brackets, as [::1]:PORT")
    host = host.strip("[]") or HERE
    return Address("0.0.0.0" if host == "*" else host, int(port))
