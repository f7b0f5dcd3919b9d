"""The flags of when there is a decision, of every command that makes some. Not here: deciding (infer/decide.py)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import tyro

from livesnn.errors import LivesnnError

if TYPE_CHECKING:
    from livesnn.app.settings import WantedDecisions


@dataclass(frozen=True)
class _Flags:
    """When there is a decision; of eval only with --stream."""

    threshold: float | None = None
    """Probability that a decision needs. Default: 0.5; in the window what was chosen last."""

    keep: float | None = None
    """A decision stands until its probability falls below this, or another's reaches its threshold. Default: 0.6 of
    --threshold, or of its class's own where that is higher; in the window what was chosen last."""

    smoothing: float | None = None
    """Share of a frame's probabilities that is those of the frame before: steadier, and later. Default: 0; in the
    window what was chosen last."""

    class_threshold: tyro.conf.UseAppendAction[tuple[tuple[str, float], ...]] = ()
    """A class that has a threshold of its own, and which: other 0.7. In the window, as the next two, of the model
    that it opens with."""

    allow: tuple[str, ...] = ()
    """Decide these classes alone."""

    deny: tuple[str, ...] = ()
    """Never decide these: nothing is decided where one of them wins."""

    @property
    def wanted(self) -> WantedDecisions:
        """What is asked for, whether it can be or not."""
        from livesnn.app.settings import WantedDecisions

        thresholds = dict(self.class_threshold)
        if len(thresholds) < len(self.class_threshold):
            raise LivesnnError("--class-threshold names a class twice: leave one out")
        return WantedDecisions(self.threshold, self.keep, self.smoothing, thresholds, self.allow, self.deny)


Decisions = Annotated[_Flags, tyro.conf.arg(name="")]
AS_USUAL = _Flags()
