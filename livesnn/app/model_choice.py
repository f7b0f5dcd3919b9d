"""Which model is used and why: the one that a person chose, or one that fits the source better."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal, NamedTuple

from livesnn.app.settings import Settings
from livesnn.card import ModelCard
from livesnn.errors import ModelError
from livesnn.infer.load import (
    DEFAULT_MODEL,
    Engine,
    Fit,
    fit_events,
    fit_video,
    model_folder,
    read_card,
    shipped_models,
    wants_pictures,
)
from livesnn.infer.model import Model
from livesnn.session.playback import Playback
from livesnn.session.session import SourceLike, source_name
from livesnn.sources import is_live, is_webcam
from livesnn.video.frame_source import EMULATED

Play = Callable[[SourceLike, str | None], None]  # Plays a source, with a model of its own if one is named

Button = tuple[str, Callable[[], None]]  # The words of a button, and what it does


class Notice(NamedTuple):
    """What a person should know, and what they can do about it; the banner shows it."""

    text: str
    kind: Literal["error", "info"]
    actions: tuple[Button, ...] = ()


@dataclass(frozen=True)
class ModelChoice:
    """The chosen model, and the one in use, which the source may need instead.

    A person chooses a model on the command line, in the dialog "Model and engine", by dropping its folder, or by
    teaching it. Until they choose another, it is used for every source that it can take, the demo among them. Unless
    it was named on the command line, that holds for the next start, too. Where nobody has chosen, the model follows
    the source.
    """

    chosen: str | Model = DEFAULT_MODEL
    engine: Engine = "auto"
    by_person: bool = False
    of_source: str | Model | None = None  # in place of the chosen one, for what plays
    insists: bool = False  # a person wants it for what plays, though another one fits better
    loaded: Model | None = None  # the one in use, once it is loaded

    @classmethod
    def at_start(cls, model: str | Model | None, engine: Engine | None, remembered: Settings) -> ModelChoice:
        """Return the choice on the command line, else the remembered one, unless that model is no more."""
        engine = engine or remembered.engine
        if model is None and remembered.model:
            try:
                model_folder(remembered.model)
                model = remembered.model
            except ModelError:
                pass
        return cls(engine=engine) if model is None else cls(model, engine, by_person=True)

    @property
    def in_use(self) -> str | Model:
        return self.chosen if self.of_source is None else self.of_source

    @property
    def name(self) -> str:
        """Of the one in use: its name or folder."""
        return _name(self.in_use)

    @property
    def chosen_name(self) -> str:
        return _name(self.chosen)

    def for_source(self, model: str | None, *, insists: bool = False) -> ModelChoice:
        """Return the choice for another source, with a model of its own if one is named; what is loaded stays so."""
        following = replace(self, of_source=model, insists=insists)
        return following if following.name == self.name else replace(following, loaded=None)

    def choose(self, model: str, engine: Engine, *, later: bool = False) -> ModelChoice:
        """Return another choice of a person; ``later``: what plays keeps the model in use."""
        if later:
            return replace(self, chosen=model, engine=engine, by_person=True, of_source=self.in_use)
        return ModelChoice(model, engine, by_person=True)

    def card(self) -> ModelCard:
        """Return the card of the one in use; raises ModelError."""
        return read_card(self.in_use) if isinstance(self.in_use, str) else self.in_use.card

    def wants_pictures(self, source: SourceLike) -> bool:
        """Whether a webcam should give its pictures rather than events: unless the model follows the source."""
        asked = self.by_person or self.of_source is not None
        return asked and wants_pictures(source, self.in_use)

    def advise(self, source: SourceLike, found: Playback, play: Play) -> Advice:
        """Return which model to use for an open source, and what to say; ``play`` is what the buttons do.

        Unless a person chose the one in use, one that was trained for the source replaces it at once. If they insist
        on it for this source, nothing is said of a better one.
        """
        try:
            card = self.card()
        except ModelError:  # loading it says why
            return Advice(self.name)
        name = Path(self.name).name
        fit = fit_events(card, found.resolution) if found.has_events else fit_video(card, str(source))
        if fit.plays and (self.insists or fit.better is None):
            return Advice(self.name)
        use = _use(play, source, fit)
        other = f"add --model {fit.better}" if fit.better else "name another model with --model"
        if not found.has_events:
            text = f"{_title(source)} is a video, but {name} reads events"
            is_file = isinstance(source, str | Path) and not is_live(str(source))
            if not is_file:
                return Advice(None, Notice(f"{text}.", "info", use), f"{text}: {other}")
            events = f"{source}?stream={EMULATED}"  # the source that makes events of it
            convert = ("Convert it to events", partial(play, events, self.name))
            error = f"{text}: {other}, or open {events}"
            return Advice(None, Notice(f"{text}.", "info", (*use, convert)), error)
        if fit.better is not None and not (self.by_person or self.name not in shipped_models()):
            back = ((f"Use {name}", partial(play, source, self.name)),) if fit.plays else ()
            return Advice(fit.better, Notice(f"{fit.why}, so {fit.better} is used.", "info", back))
        if not fit.plays:
            text = f"{_title(source)} has events, but {name} reads videos"
            return Advice(None, Notice(f"{text}.", "info", use), f"{text}: {other}")
        return Advice(self.name, Notice(f"{fit.why}: use {fit.better}?", "info", use))


class Advice(NamedTuple):
    """The model to use for a source, and what to say of it; None: there is none that can.

    ``error``: why not, for who started livesnn with that source.
    """

    model: str | None
    notice: Notice | None = None
    error: str = ""


def takes(card: ModelCard, playback: Playback, source: SourceLike | None) -> bool:
    """Whether a model can take what plays; a webcam gives what the model takes."""
    return (card.input.kind == "events") == playback.has_events or is_webcam(source)


def _use(play: Play, source: SourceLike, fit: Fit) -> tuple[Button, ...]:
    return () if fit.better is None else ((f"Use {fit.better}", partial(play, source, fit.better)),)


def _name(model: str | Model) -> str:
    return model if isinstance(model, str) else model.card.name


def _title(source: SourceLike) -> str:
    return source_name(source) if isinstance(source, str | Path) else "The source"
