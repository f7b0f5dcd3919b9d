"""How a source is opened beside what plays: whether that may go on, and what is said of the model for it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Literal, NamedTuple

from livesnn.card import ModelCard
from livesnn.events.filters import Orientation
from livesnn.infer.model import Fit, fit_events, fit_video
from livesnn.session.playback import Playback
from livesnn.session.session import SourceLike, source_name
from livesnn.sources import is_live
from livesnn.video import EMULATED

Play = Callable[[SourceLike, str | None], None]  # Plays a source, with a model of its own if one is named


class Opening(NamedTuple):
    """What a person asks to play; see `Player.play`."""

    source: SourceLike
    model: str | None
    orientation: Orientation | None
    insists: bool


Action = tuple[str, Callable[[], None]]  # The words of a button, and what it does


class Notice(NamedTuple):
    """What a person should know, and what they can do about it."""

    text: str
    kind: Literal["error", "info"]
    actions: tuple[Action, ...] = ()


class Advice(NamedTuple):
    """The model to use for a source, and what to say of it; None: there is none that can.

    ``error``: why not, for who started livesnn with that source.
    """

    model: str | None
    notice: Notice | None = None
    error: str = ""


def may_go_on(playing: SourceLike | None, source: SourceLike) -> bool:
    """Whether what plays can go on while a source is opened: not on the same camera, which only one may have."""
    if not isinstance(source, str | Path) or playing is None:
        return False
    return not is_live(str(source)) or _device(playing) != _device(source)


def _device(source: SourceLike) -> str:
    """Return what a source needs for itself: an address, or a camera, whose names may mean the same one."""
    if not isinstance(source, str | Path):
        return "camera"  # handed over open
    kind = str(source).partition(":")[0]
    return kind if kind in ("camera", "webcam") else str(source)


def takes(card: ModelCard, playback: Playback) -> bool:
    return (card.input.kind == "events") == playback.has_events


def advise(
    source: SourceLike,
    model: str,
    card: ModelCard,
    found: Playback,
    *,
    asked: bool,
    insists: bool,
    play: Play,
) -> Advice:
    """Return which model to use for an open source, and what to say.

    ``model`` is in use. Unless a person ``asked`` for it, one that was trained for the source replaces it at once. If
    they ``insists`` on it for this source, nothing is said of a better one. ``play`` is what the notice's buttons do.
    """
    name = Path(model).name
    fit = fit_events(card, found.resolution) if found.has_events else fit_video(card, str(source))
    if fit.plays and (insists or fit.better is None):
        return Advice(model)
    other = f"add --model {fit.better}" if fit.better else "name another model with --model"
    if not found.has_events:
        text = f"{_name(source)} is a video, but {name} reads events"
        is_file = isinstance(source, str | Path) and not is_live(str(source))
        events = f"{source}?stream={EMULATED}" if is_file else ""  # the source that makes events of it
        actions = _use(play, source, fit) + (
            (("Convert it to events", partial(play, events, model)),) if events else ()
        )
        error = f"{text}: {other}" + (f", or open {events}" if events else "")
        return Advice(None, Notice(f"{text}.", "info", actions), error)
    if fit.better is not None and not asked:
        back = ((f"Use {name}", partial(play, source, model)),) if fit.plays else ()
        return Advice(fit.better, Notice(f"{fit.why}, so {fit.better} is used.", "info", back))
    use = _use(play, source, fit)
    if not fit.plays:
        text = f"{_name(source)} has events, but {name} reads videos"
        return Advice(None, Notice(f"{text}.", "info", use), f"{text}: {other}")
    return Advice(model, Notice(f"{fit.why}: use {fit.better}?", "info", use))


def _use(play: Play, source: SourceLike, fit: Fit) -> tuple[Action, ...]:
    return () if fit.better is None else ((f"Use {fit.better}", partial(play, source, fit.better)),)


def _name(source: SourceLike) -> str:
    return source_name(source) if isinstance(source, str | Path) else "The source"
