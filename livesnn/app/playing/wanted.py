"""What `livesnn gui` is told of decisions, on top of what was chosen last. Not here: the command (cli/window.py)."""

from __future__ import annotations

from dataclasses import dataclass, replace

from livesnn.card import ModelCard
from livesnn.infer.decide import Decider


@dataclass(frozen=True)
class WantedDecisions:
    """The flags of `livesnn run`, as far as they are given; None or (): what was chosen last."""

    threshold: float | None = None
    keep: float | None = None
    smoothing: float | None = None
    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()

    @property
    def of_classes(self) -> bool:
        """Whether it says which classes are decided."""
        return bool(self.allow or self.deny)

    def decider(self, last: Decider) -> Decider:
        """Return what decides; raises LivesnnError as `Decider` does. Another threshold forgets what stood by it."""
        Decider(allow=self.allow, deny=self.deny)
        keep = last.keep if self.threshold is None else None
        return replace(
            last,
            threshold=last.threshold if self.threshold is None else self.threshold,
            keep=keep if self.keep is None else self.keep,
            smoothing=last.smoothing if self.smoothing is None else self.smoothing,
        )

    def denied(self, card: ModelCard) -> tuple[str, ...]:
        """Return the model's classes that are never decided; raises LivesnnError where it has no such class."""
        Decider(allow=self.allow, deny=self.deny).check(card)
        allowed = self.allow or card.classes
        return tuple(label for label in card.classes if label in self.deny or label not in allowed)
