"""When a decision is made, and of which classes: asks a person, and keeps it. Not here: the dialog, the deciding."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from livesnn.app.decisions_dialog import DecisionsDialog
from livesnn.app.layout import WindowLayout
from livesnn.app.model_dialog import read_card
from livesnn.app.playing.player import Player
from livesnn.app.playing.settings import Settings
from livesnn.card import ModelCard
from livesnn.errors import ModelError
from livesnn.infer.decide import Decider


class Deciding:
    """Changes how the player's sessions decide, from the next frame on.

    Parameters
    ----------
    window
        Where a person is asked.
    player
        Plays what is decided on.
    settings
        Where what a person has chosen is kept: the classes for the model they were chosen for.
    """

    def __init__(self, window: WindowLayout, player: Player, settings: Settings) -> None:
        self._window = window
        self._player = player
        self._settings = settings

    def slots(self) -> dict[str, Callable[[], None]]:
        """Return what to do for the action that is here."""
        return {"decisions": self.ask}

    def ask(self) -> None:
        """Ask when a class is named, and which may be."""
        card, choices = self._card(), self._player.choices
        denied = choices.decider_of(card).deny if card is not None else ()
        dialog = DecisionsDialog(choices.decider, card, denied, self._window)
        dialog.chosen.connect(lambda decider, denied: self.choose(decider, card, denied))
        self._window.show_dialog(dialog)

    def choose(self, decider: Decider, card: ModelCard | None, denied: tuple[str, ...]) -> None:
        """Decide in this way, now and at the next start; ``denied`` of this model's classes are never named."""
        self.use(decider, card, denied)
        self._settings.change(decider=decider, denied=_with(self._settings.now.denied, card, denied))

    def use(self, decider: Decider, card: ModelCard | None = None, denied: tuple[str, ...] = ()) -> None:
        """Decide in this way until the window closes; without a card, of the classes there were."""
        choices = self._player.choices
        of_models = _with(choices.denied, card, denied)
        self._player.apply(replace(choices, decider=decider, denied=of_models))

    def _card(self) -> ModelCard | None:
        """Return the card of the model in use; None: it can't be read."""
        if self._player.opened is not None:
            return self._player.opened.model.card
        try:
            return read_card(self._player.model)
        except ModelError:
            return None


def _with(
    of_models: Mapping[str, tuple[str, ...]], card: ModelCard | None, denied: tuple[str, ...]
) -> dict[str, tuple[str, ...]]:
    """Return the classes that are never named, by model, ``denied`` being this one's."""
    if card is None:
        return dict(of_models)
    others = {name: labels for name, labels in of_models.items() if name != card.name}
    return others | ({card.name: denied} if denied else {})
