"""Player: one session at a time, made as a person has chosen, and what all of them did. Not here: Qt's widgets."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, NotRequired, TypedDict

from livesnn.app.settings import Settings
from livesnn.errors import ModelError
from livesnn.events.filters import Orientation
from livesnn.events.recorder import Recorder as Tape
from livesnn.infer.decide import Tally
from livesnn.infer.model import Engine, Model, model_folder, read_card, shipped_models
from livesnn.infer.switching_engine import end_preparing
from livesnn.paths import recordings_dir
from livesnn.session.hot_pixels import HotPixels
from livesnn.session.playback import Mounting, camera_name, with_mounted
from livesnn.session.session import PICTURE_EVERY_S, Session, SourceLike
from livesnn.session.values import Choices, Opened
from livesnn.simulate import open_simulation as opening

PATIENCE_S = 0.7  # a person who has opened another source waits no longer
LAST_PATIENCE_S = 4.0  # nobody looks any more


class Summary(TypedDict):
    """What the window did until it was closed."""

    frames_shown: int
    decisions: int
    majority: str | None
    dropped: int
    gui_blocked_ms_max: NotRequired[float]  # where a watchdog has looked


class _Place(NamedTuple):
    """Where a source goes on after it has been opened again."""

    t_us: int
    paused: bool


class Player:
    """Plays a source until another is opened, and again when a choice needs it.

    Parameters
    ----------
    model
        Name or folder, or a model that is loaded; loaded with the first source, and kept. None: the last one used.
    engine
        What runs it; None: the last one chosen.
    settings
        Keeps the chosen model and engine, how cameras are mounted, and what their hot pixels are.
    choices
        To begin with; `apply` takes others.

    Attributes
    ----------
    session
        What is played now; None before the first and after the last.
    source
        Of the session.
    orientation
        What makes the source upright; None: not known yet, or it can't be turned.
    model
        In use, as a person named it.
    t_us
        Where the session is, as far as has been shown; set by whoever shows it.
    tape
        What is recorded on; None: nothing is recorded.
    """

    def __init__(
        self,
        model: str | Model | None,
        engine: Engine | None,
        settings: Settings,
        *,
        choices: Choices,
        picture_every_s: float = PICTURE_EVERY_S,
    ) -> None:
        now = settings.now
        self.session: Session | None = None
        self.opened: Opened | None = None
        self.t_us = 0
        self.last_error: str | None = None
        self.model = ""
        self._model: str | Model = ""
        self._named: str | Model = ""  # as it was chosen
        self.engine: Engine = engine or now.engine
        self.choices = choices
        self._chosen: str | Model = model or default_model(now.model)
        self._use(self._chosen)
        self._settings = settings
        self._picture_every_s = picture_every_s
        self.source: SourceLike | None = None
        self.orientation: Orientation | None = None
        self._camera = ""  # the source, where its orientation is remembered
        self._place: _Place | None = None
        self._tally = Tally()
        self._n_decisions = self._dropped = 0
        self._hanging: list[Session] = []
        self.tape: Tape | None = None
        self._tapes: list[Tape] = []  # not yet told of

    def play(
        self, source: SourceLike, model: str | None = None, orientation: Orientation | None = None
    ) -> None:
        """Leave what is played and play this; with this model alone, or the chosen one; upright so, or as known."""
        self.stop_recording()
        self._use(model or self._chosen)
        self.orientation, self._camera = orientation, ""
        self._start(source, None)

    def play_again(self) -> None:
        """Play the same source on from the same place, with what has been chosen since; a recording goes on.

        A source that came open can't be opened again: there the choice holds for the next one.
        """
        if self.session is None or not isinstance(self.source, str | Path):
            return
        control, place = self.session.control, self._place  # of an opening that isn't done, or failed
        if self.opened is not None:
            paused = control.state == "paused"
            shown_us = control.place_us if paused else self.t_us
            place = _Place(0 if self.opened.live else shown_us, paused)
        self._start(self.source, place)

    def _start(self, source: SourceLike, place: _Place | None) -> None:
        self.leave()
        self.source, self._place, self.opened, self.t_us = source, place, None, 0
        self.session = Session(
            source,
            self._model,
            engine=self.engine,
            choices=self.choices,
            mounting=Mounting(self.orientation, self._settings.now.mounted),
            picture_every_s=self._picture_every_s,
            hot_pixels=HotPixels(self._settings.folder),
        )
        self.session.control.use_recorder(self.tape)
        self.session.start()

    def newly_opened(self) -> Opened | None:
        """Return what is known of the source once it is open; None before, and when it was returned before."""
        session = self.session
        if session is None or self.opened is not None or session.opened is None:
            return None
        self.opened = opened = session.opened
        self._model = opened.model  # loaded once
        self.orientation = opened.orientation if opened.has_events else None
        self._camera = camera_name(self.source, opened.serial)
        if self._place is not None:
            if self._place.paused:
                session.control.toggle()
            if self._place.t_us or self._place.paused:
                self.seek(self._place.t_us / 1e6)
        return self.opened

    def turn(self, orientation: Orientation) -> None:
        """Play the same source on, made upright so, which is remembered of a camera or a stream.

        What is recorded goes on as it began. A source that came open can't be opened again: there it holds for the
        next one of the same camera.
        """
        if self._camera:
            mounted = with_mounted(self._settings.now.mounted, self._camera, orientation)
            self._settings.change(mounted=mounted)
        if isinstance(self.source, str | Path):
            self.orientation = orientation
            self.play_again()

    def toggle(self) -> None:
        """Pause, go on, or play again; nothing before it is seen to be open."""
        if self.session is not None and self.opened is not None:
            self.session.control.toggle()

    def step(self, frames: int) -> None:
        """Pause, and go on or back by so many frames."""
        if self.session is None or self.opened is None or self.opened.live:
            return
        if self.session.control.state == "playing":
            self.session.control.toggle()
        self.session.control.step(frames)

    def seek(self, seconds: float) -> None:
        """Go on from this time after the start of a recording."""
        if self.session is not None and self.opened is not None and self.opened.duration_us is not None:
            self.t_us = min(max(round(seconds * 1e6), 0), self.opened.duration_us)
            self.session.control.seek(self.t_us)

    def reset(self) -> None:
        """Set the network's state to zero before its next frame."""
        if self.session is not None:
            self.session.control.reset()

    def learn_hot_pixels(self) -> None:
        """Learn again which pixels are hot, while noise is filtered."""
        if self.session is not None:
            self.session.control.learn_hot_pixels()

    def apply(self, choices: Choices) -> None:
        """Play in this way, now and whatever comes next."""
        self.choices = choices
        if self.session is not None:
            self.session.control.apply(choices)

    def set_model(self, model: str, engine: Engine) -> None:
        """Use this model on this engine, now and at the next start."""
        self._chosen, self.engine, self.model = model, engine, ""
        self._use(model)
        self._settings.change(model=model, engine=engine)
        self.play_again()

    @property
    def chosen(self) -> str:
        """The model of what needs none of its own, as a person named it."""
        return _name(self._chosen)

    def _use(self, model: str | Model) -> None:
        """Use a model in the next session; where it is the one in use, it is loaded already."""
        name = _name(model)
        if name != self.model:
            self.model = name
            self._model = self._named = model

    @property
    def can_record(self) -> bool:
        """Whether something live is open."""
        session, opened = self.session, self.opened
        live = session is not None and opened is not None and opened.live and opened.has_events
        return live and session is not None and session.control.state in ("playing", "waiting", "paused")

    def record(self, path: Path) -> None:
        """Record what arrives from now on in a new file, unless something is recorded already."""
        if self.session is None or self.tape is not None:
            return
        self.tape = self.session.control.record(path)
        if self.tape is not None:
            self._tapes.append(self.tape)

    def stop_recording(self) -> None:
        """Record nothing more; the file is finished soon."""
        if self.tape is not None:
            if self.session is not None:
                self.session.control.use_recorder(None)
            self.tape.stop()
            self.tape = None

    def take_finished(self) -> list[Tape]:
        """Return the tapes that nothing more will be written to, each once; stop the one whose source has ended."""
        over = self.session is None or self.session.control.state in ("ended", "failed")
        if self.tape is not None and (over or self.tape.finished):
            self.stop_recording()
        finished = [tape for tape in self._tapes if tape.finished]
        self._tapes = [tape for tape in self._tapes if tape not in finished]
        return finished

    def leave(self) -> None:
        """End the session, and count what it did; one that hangs in its source is left to end by itself."""
        if self.session is None:
            return
        self.session.control.use_recorder(None)  # one that hangs may go on later
        self._hanging = [session for session in self._hanging if not session.stop(0)]
        if not self.session.stop(PATIENCE_S):
            self._hanging.append(self.session)
            self._model = self._named  # two may not step one
        self.last_error = self.session.error or self.last_error
        self._tally.decisions.update(self.session.decisions)
        self._n_decisions += self.session.n_decisions
        self._dropped += self.session.statistics.dropped
        self.session = None

    def end(self) -> None:
        """End all sessions and recordings, with more patience."""
        self.stop_recording()
        self.leave()
        for tape in self._tapes:
            tape.close()
        deadline_s = time.monotonic() + LAST_PATIENCE_S
        for session in self._hanging:
            session.stop(max(deadline_s - time.monotonic(), 0))
        end_preparing()  # also for models that were left before they were there

    def summary(self, frames_shown: int) -> Summary:
        """Return what all sessions that have ended did."""
        return Summary(
            frames_shown=frames_shown,
            decisions=self._n_decisions,
            majority=self._tally.majority,
            dropped=self._dropped,
        )


def _name(model: str | Model) -> str:
    return model if isinstance(model, str) else model.card.name


SIMULATION, TURNING = opening.GESTURES, opening.DIGITS
GESTURES = "gestures"
DIGITS, TURNING_DIGITS = "nmnist", "mnist-seq2"
DIGIT_CLIP = "digit-3.aedat4"


class Demo(NamedTuple):
    """A source of open_source, and the name of a shipped model."""

    source: str
    model: str


def demo(model: str | None = None) -> Demo | None:
    """Return what to play, with this model if one is named; None: nothing is shipped, or it is of other videos.

    Digits to a model that knows them, to any other of events the simulated person; none named: to that of gestures.
    """
    if model is None:
        return Demo(SIMULATION, GESTURES) if GESTURES in shipped_models() else _drawn_digit(DIGITS)
    try:
        card = read_card(model)
    except ModelError:
        return Demo(SIMULATION, model)  # the window says what is wrong with it
    if card.input.kind == "video":
        return Demo(TURNING, model) if card.dataset.startswith("mnist-") else None
    return (_drawn_digit(model) if card.dataset == DIGITS else None) or Demo(SIMULATION, model)


def _drawn_digit(model: str) -> Demo | None:
    clips = sorted(
        recordings_dir().glob("digit-*.aedat4"), key=lambda clip: (clip.name != DIGIT_CLIP, clip.name)
    )
    return Demo(str(clips[0]), model) if clips else None


def turning_demo() -> Demo | None:
    """Return drawn digits that turn, and the model that names them; None: it isn't shipped."""
    return Demo(TURNING, TURNING_DIGITS) if TURNING_DIGITS in shipped_models() else None


def own_model(source: str) -> str | None:
    """Return the shipped model that alone knows what is in a source; None: the chosen one may."""
    shown = turning_demo()
    return shown.model if shown is not None and source.startswith(TURNING) else None


def default_model(last: str = "") -> str:
    """Return the model of a source that a person names: the one last used, else the shipped one."""
    with suppress(ModelError):  # it has gone since: nobody has asked for it now
        if last:
            model_folder(last)
            return last
    return GESTURES if GESTURES in shipped_models() else DIGITS
