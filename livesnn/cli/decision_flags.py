"""The flags that say when there is a decision, shared by every command that decides."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import tyro

from livesnn.errors import LivesnnError


@dataclass(frozen=True)
class DecisionFlags:
    """When there is a decision."""

    threshold: Annotated[float | None, tyro.conf.arg(metavar="PROBABILITY")] = None
    """Smallest probability that makes a decision. Default: 0.5, or in the window your last choice."""

    hysteresis: Annotated[float | None, tyro.conf.arg(name="keep", metavar="PROBABILITY")] = None
    """A decision stands until its probability falls below this, or until another class reaches its threshold.
    Default: 0.6 of --threshold, or of the class's own threshold if that is higher. In the window: your last
    choice."""

    smoothing: Annotated[float | None, tyro.conf.arg(metavar="SHARE")] = None
    """How much of the previous frame's probabilities is mixed into this frame's, from 0 to below 1. More makes
    decisions steadier, but later. Default: 0, or in the window your last choice."""

    class_threshold: tyro.conf.UseAppendAction[tuple[tuple[str, float], ...]] = ()
    """Set the threshold of one class, such as: other 0.7. In the window, this flag, --allow and --deny apply to the
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
        numbers = {"threshold": self.threshold, "hysteresis": self.hysteresis, "smoothing": self.smoothing}
        classes = {"thresholds": thresholds, "allow": self.allow, "deny": self.deny}
        return {name: value for name, value in numbers.items() if value is not None} | {
            name: value for name, value in classes.items() if value
        }


Decisions = Annotated[DecisionFlags, tyro.conf.arg(name="")]
AS_USUAL = DecisionFlags()
