"""What several commands take: a source, a model, the camera's mounting, when there is a decision, what follows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from shutil import which
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from livesnn.errors import LivesnnError, SourceError

if TYPE_CHECKING:
    from livesnn.events.cameras.sensitivity import SensorSettings
    from livesnn.events.filters import Orientation
    from livesnn.infer.run import Result

Source = Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="SOURCE")]
Out = Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="OUT")]
Model = Annotated[str | None, tyro.conf.arg(metavar="MODEL")]
Engine = Literal["auto", "onnx", "spike", "torch"]
Seconds = Annotated[float | None, tyro.conf.arg(metavar="SECONDS")]
Port = Annotated[int | None, tyro.conf.arg(metavar="PORT")]


@dataclass(frozen=True)
class _Mounting:
    """The camera: how it is mounted, and how its sensor is set up."""

    rotate: Annotated[int | None, tyro.conf.arg(metavar="DEGREES")] = None
    """Rotate the picture clockwise by 0, 90, 180 or 270 degrees; 180 is for a camera that hangs upside down."""

    mirror: bool = False
    """Swap left and right before rotating, for a camera that looks into a mirror."""

    bias: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Set up an event camera's sensor from this file. Camera → Sensitivity in the window saves such files."""

    @property
    def orientation(self) -> Orientation | None:
        """The orientation that the flags describe; None if no flag is given."""
        from livesnn.events.filters import Orientation

        if self.rotate is None and not self.mirror:
            return None
        if (degrees := self.rotate or 0) not in (0, 90, 180, 270):
            raise SourceError(f"--rotate can't be {degrees}: give 0, 90, 180 or 270 degrees")
        return Orientation(degrees // 90, self.mirror)

    @property
    def upright(self) -> Orientation:
        """The orientation that the flags describe; unchanged if no flag is given."""
        from livesnn.events.filters import Orientation

        return self.orientation or Orientation()

    @property
    def sensor(self) -> SensorSettings | None:
        """The settings in the file; None if no file is given."""
        from livesnn.events.cameras.sensitivity import load_settings
        from livesnn.files import expanded

        return None if self.bias is None else load_settings(expanded(self.bias))


Mounting = Annotated[_Mounting, tyro.conf.arg(name="")]
AS_IT_COMES = _Mounting()


@dataclass(frozen=True)
class DecisionFlags:
    """When there is a decision."""

    threshold: Annotated[float | None, tyro.conf.arg(metavar="PROBABILITY")] = None
    """Smallest probability that makes a decision. Default: 0.5, or in the window your last choice."""

    hysteresis: Annotated[float | None, tyro.conf.arg(name="keep", metavar="PROBABILITY")] = None
    """A decision stays until its probability falls below this, or until another class reaches its threshold.
    Default: 0.2 of --threshold, or of the class's own threshold if that is higher. In the window: your last
    choice."""

    smoothing: Annotated[float | None, tyro.conf.arg(metavar="SHARE")] = None
    """How much of the previous frame's probabilities is mixed into this frame's, from 0 to below 1. More makes
    decisions steadier, but later. Default: 0, or in the window your last choice."""

    leak: Annotated[float | None, tyro.conf.arg(metavar="SHARE")] = None
    """How much less a frame counts than the next one, from 0 to below 1. More makes decisions earlier, but less
    steady. At 0 all frames of the window count the same. Default: 0.22, or in the window your last choice."""

    class_threshold: tyro.conf.UseAppendAction[tuple[tuple[str, float], ...]] = ()
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
        fields: dict[str, Any] = {
            "threshold": self.threshold,
            "hysteresis": self.hysteresis,
            "smoothing": self.smoothing,
            "leak": self.leak,
        }
        fields |= {"thresholds": thresholds or None, "allow": self.allow or None, "deny": self.deny or None}
        return {name: value for name, value in fields.items() if value is not None}


Decisions = Annotated[DecisionFlags, tyro.conf.arg(name="")]
AS_USUAL = DecisionFlags()


@dataclass(frozen=True)
class ActionFlags:
    """What to do when a gesture is decided."""

    on_decision: Annotated[str | None, tyro.conf.arg(metavar="COMMAND")] = None
    """Run this program and its arguments each time the decision changes to a gesture. It runs without a shell. The
    variables LIVESNN_DECISION, LIVESNN_CONFIDENCE and LIVESNN_T (microseconds) describe the decision."""

    on_decision_held: Annotated[int, tyro.conf.arg(metavar="MILLISECONDS")] = 0
    """Run it once the gesture has been decided for this long."""

    on_decision_every: Annotated[float, tyro.conf.arg(metavar="SECONDS")] = 1.0
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


Actions = Annotated[ActionFlags, tyro.conf.arg(name="")]
NO_ACTION = ActionFlags()
