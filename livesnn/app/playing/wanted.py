"""What a command is told of decisions, on top of what was chosen last. Not here: its flags (cli/deciding.py)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from livesnn.infer.decide import Decider


@dataclass(frozen=True)
class WantedDecisions:
    """The flags as far as they are given; None, () or {}: what was chosen last."""

    threshold: float | None = None
    keep: float | None = None
    smoothing: float | None = None
    thresholds: Mapping[str, float] = field(default_factory=dict)
    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()

    @property
    def of_classes(self) -> bool:
        """Whether it says anything of single classes."""
        return bool(self.allow or self.deny or self.thresholds)

    def decider(self, last: Decider) -> Decider:
        """Return what decides; raises LivesnnError as `Decider` does.

        Another threshold forgets what stood by the last one; other classes, those that were named last.
        """
        chosen = bool(self.allow or self.deny)
        keep = last.keep if self.threshold is None else None
        return replace(
            last,
            threshold=last.threshold if self.threshold is None else self.threshold,
            keep=keep if self.keep is None else self.keep,
            smoothing=last.smoothing if self.smoothing is None else self.smoothing,
            thresholds=self.thresholds or last.thresholds,
            allow=self.allow if chosen else last.allow,
            deny=self.deny if chosen else last.deny,
        )
