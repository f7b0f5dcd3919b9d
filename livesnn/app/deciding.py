"""When a decision is made, and of which classes: asks a person, and keeps it. Not here: the dialog, the deciding."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TypeVar

from livesnn.app.decisions_dialog import DecisionsDialog
from livesnn.app.layout import WindowLayout
from livesnn.app.player import Player
from livesnn.app.settings import Settings
from livesnn.card import ModelCard
from livesnn.errors import ModelError
from livesnn.infer.decide import Decider
from livesnn.infer.model import read_card

Rules = TypeVar("Rules")


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
        decider = choices.decider if card is None else choices.decider_of(card)
        dialog = DecisionsDialog(decider, card, self._window)
        dialog.chosen.connect(lambda decider: self.choose(decider, card))
        self._window.show_dialog(dialog)

    def choose(self, decider: Decider, card: ModelCard | None) -> None:
        """Decide in this way, now and at the next start."""
        self.use(decider, card)
        now = self._settings.now
        self._settings.change(
            decider=_of_all(decider),
            denied=_denied(now.denied, decider, card),
            thresholds=_thresholds(now.thresholds, decider, card),
        )

    def use(self, decider: Decider, card: ModelCard | None = None) -> None:
        """Decide in this way until the window closes, of this model's classes; without a card, as before of them."""
        now = self._player.choices
        choices = replace(
            now,
            decider=_of_all(decider),
            denied=_denied(now.denied, decider, card),
            thresholds=_thresholds(now.thresholds, decider, card),
        )
        self._player.apply(choices)

    def _card(self) -> ModelCard | None:
        """Return the card of the model in use; None: it can't be read."""
        if self._player.opened is not None:
            return self._player.opened.model.card
        try:
            return read_card(self._player.model)
        except ModelError:
            return None


def _of_all(decider: Decider) -> Decider:
    """Return what of it isn't of single classes."""
    return replace(decider, thresholds={}, allow=(), deny=())


def _denied(
    of_models: Mapping[str, tuple[str, ...]], decider: Decider, card: ModelCard | None
) -> dict[str, tuple[str, ...]]:
    """Return the denied classes by model, this one's being these; those of another model of its name stay."""
    if card is None:
        return dict(of_models)
    others = (label for label in of_models.get(card.name, ()) if label not in card.classes)
    return _with(of_models, card, (*others, *decider.denied(card)))


def _thresholds(
    of_models: Mapping[str, Mapping[str, float]], decider: Decider, card: ModelCard | None
) -> dict[str, Mapping[str, float]]:
    """Return the thresholds of classes by model, this one's being these; those of another of its name stay."""
    if card is None:
        return dict(of_models)
    old = of_models.get(card.name, {})
    others = {label: value for label, value in old.items() if label not in card.classes}
    return _with(of_models, card, others | dict(decider.thresholds))


def _with(of_models: Mapping[str, Rules], card: ModelCard, rules: Rules) -> dict[str, Rules]:
    """Return the rules of classes by model, this one's being these."""
    others = {name: one for name, one in of_models.items() if name != card.name}
    return others | ({card.name: rules} if rules else {})
