"""Plays one source after another, each in a session of its own, and records what plays."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypedDict
from weakref import WeakSet

from livesnn.app.model_choice import ModelChoice, Notice, takes
from livesnn.app.settings import Settings, SettingsFile
from livesnn.card import ModelCard
from livesnn.errors import ModelError, SourceError
from livesnn.events.filters import Orientation
from livesnn.events.formats.registry import parse_recording_path
from livesnn.events.recorder import Recorder
from livesnn.files import expanded
from livesnn.infer.decide import Decider
from livesnn.infer.load import Engine, read_card
from livesnn.infer.model import Model
from livesnn.infer.run import Result
from livesnn.infer.statistics import Tally
from livesnn.infer.switching_engine import end_preparing
from livesnn.session.camera_settings import CameraFiles, Mounting, camera_name
from livesnn.session.comparison import Second
from livesnn.session.control import Choices
from livesnn.session.playback import Playback
from livesnn.session.session import Session, SourceAndModel, SourceLike
from livesnn.sources import is_live

WONDER_S = 0.5  # before a person wonders whether anything happens
PATIENCE_S = 0.7  # how long a person who has opened another source waits
LAST_PATIENCE_S = 4.0  # the window has closed
OF_CAMERA = {"denoise": "filtered", "mirrored": "mirrored"}  # choice → the cameras with it in the settings
FORGOTTEN = ("speed", "state_mode")  # choices that have their defaults at each start


class Place(NamedTuple):
    """Where a source goes on after it has been opened again."""

    t_us: int
    paused: bool


class Opening(NamedTuple):
    """A source that is being opened while another plays; the rest is as for `Player.play`."""

    source: SourceLike
    model: str | None
    orientation: Orientation | None
    insists: bool
    session: Session
    since_s: float

    @property
    def words(self) -> str:
        """What is being opened and how much of it has been read, once a person may wonder; "" before."""
        if time.perf_counter() - self.since_s < WONDER_S:
            return ""
        return f"Opening {self.session.name} …" + (f" {self.session.reading:.0%}" if self.session.reading else "")


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


def folder_of(source: object) -> Path | None:
    """Return the folder of a source that is a file; None: it isn't one."""
    if not isinstance(source, str | Path) or is_live(str(source)):
        return None
    return parse_recording_path(expanded(source)).file.absolute().parent


class Summary(TypedDict):
    """What the window did, printed when it has closed."""

    frames_shown: int
    decisions: int
    majority: str | None
    dropped: int


_PLAYING: WeakSet[Player] = WeakSet()  # those that have played, and haven't ended


class Player:
    """Plays a source until another is opened; opens it again where a choice needs that.

    ``model`` is a name, a folder or a loaded model. Without a model or an engine, the last one in the settings is
    used. These also keep the choices, and what is known about cameras.
    """

    def __init__(self, model: str | Model | None, engine: Engine | None, settings: SettingsFile) -> None:
        now = settings.now
        self.session: Session | None = None  # what plays now; None before the first source and after the last
        self.opened: SourceAndModel | None = None
        self.source: SourceLike | None = None  # of the session
        self.t_us = 0  # the stream time that is on the screen; set by the display
        self.last_error: str | None = None
        # Gets each result of every session, in a thread of the session.
        self.see: Callable[[Result], object] = lambda result: None
        self.models = ModelChoice.at_start(model, engine, now)
        self.choices = now.choices  # of this session and the next: at first the remembered ones
        self.camera_files = CameraFiles(settings.folder)
        self.second: Second | None = None  # what all that plays is compared with
        # What makes the source upright; None: not known yet, or the source can't be turned.
        self.orientation: Orientation | None = None
        self.opening: Opening | None = None  # what follows what plays
        self.tally = Tally()
        self.recorder: Recorder | None = None  # writes the recording; None: nothing is recorded
        self._settings = settings
        self._admitted = True  # the session has a model, or needs none; False: it waits for `_admit`
        self._models_before: ModelChoice | None = None  # if the new model can't be loaded
        self._notice: Notice | None = None
        self._camera = ""  # what the source's orientation and filters are remembered by
        self._place: Place | None = None
        self._n_decisions = self._dropped = 0
        self._hanging: list[Session] = []
        self._recorders: list[Recorder] = []  # not yet returned by take_finished

    def play(
        self,
        source: SourceLike,
        model: str | None = None,
        orientation: Orientation | None = None,
        *,
        insists: bool = False,
    ) -> None:
        """Play another source; ``model`` and ``orientation``, if given, are for this source only.

        What plays goes on until the other one is open, and longer where that fails. A camera is let go of first.
        ``insists``: a person knows that another model fits better.
        """
        self._drop_opening()
        session = self._session(source, self.models.for_source(model), orientation)
        opening = Opening(source, model, orientation, insists, session, time.perf_counter())
        if may_go_on(self.source, source) and self.opened is not None:
            self.opening = opening
        else:
            self._take(opening)
        session.start()

    def play_again(self) -> None:
        """Open the same source again and go on from the same place, with the newest choices; recording goes on.

        A source that was handed over open can't be opened again: there the choices hold for the next one.
        """
        if self.session is None or not isinstance(self.source, str | Path):
            return
        control, place = self.session.control, self._place  # of an opening that isn't done, or failed
        if self.opened is not None:
            paused = control.state == "paused"
            shown_us = control.position_us if paused else self.t_us
            place = Place(0 if self.opened.playback.live else shown_us, paused)
            self.models = replace(self.models, insists=True)  # what there is to say has been said
        self.leave()
        session = self._session(self.source, self.models, self.orientation)
        self._begin(session, self.source, place)
        session.start()

    def _session(self, source: SourceLike, models: ModelChoice, orientation: Orientation | None) -> Session:
        return Session(
            source,
            engine=models.engine,
            choices=self.choices,
            mounting=Mounting(orientation, self._settings.now.mounted),
            camera_files=self.camera_files,
            see=self.see,
            pictures=models.wants_pictures(source),
        )

    def _take(self, opening: Opening) -> None:
        self.opening = None
        self.stop_recording()
        self.models = self.models.for_source(opening.model, insists=opening.insists)
        self.orientation, self._camera = opening.orientation, ""
        self.apply(replace(self.choices, denoise=False, mirrored=False))
        self.leave()
        self._begin(opening.session, opening.source, None)

    def _begin(self, session: Session, source: SourceLike, place: Place | None) -> None:
        _PLAYING.add(self)
        self.source, self._place, self.opened, self.t_us = source, place, None, 0
        self.session, self._admitted = session, False
        session.control.apply(self.choices)
        session.control.use_recorder(self.recorder)
        if self.second is not None:
            session.comparer.use(self.second)

    def _drop_opening(self) -> None:
        if self.opening is not None and not self.opening.session.stop(0):
            self._hanging.append(self.opening.session)
        self.opening = None

    def _follow_opening(self, opening: Opening) -> None:
        """Go on with the source that is being opened beside what plays, once it is open; or say why not."""
        source, session = opening.source, opening.session
        if session.error is not None:
            again = partial(self.play, source, opening.model, opening.orientation)
            self._notice = Notice(session.error, "error", (("Try again", again),))
            self._drop_opening()
        elif session.found is not None:
            models = self.models.for_source(opening.model, insists=opening.insists)
            advice = models.advise(source, session.found, self._play_as_asked)
            if advice.model is None:
                self._notice = advice.notice
                self._drop_opening()
            else:
                self._take(opening)

    def _admit(self, session: Session, source: SourceLike, found: Playback) -> None:
        """Let a session whose source is open go on with the model that fits it, or say why none does."""
        self._admitted = True
        advice = self.models.advise(source, found, self._play_as_asked)
        self._notice = advice.notice or self._notice
        if advice.model is None:
            session.go_on(SourceError(advice.error))
            return
        if advice.model != self.model:
            self.models = self.models.for_source(advice.model, insists=self.models.insists)
        session.go_on(self.models.in_use if self.models.loaded is None else self.models.loaded)

    def _play_as_asked(self, source: SourceLike, model: str | None) -> None:
        self.play(source, model, self.orientation, insists=True)

    def take_notice(self) -> Notice | None:
        """Return once what a person should know of the last opening, as soon as it is done."""
        if self.session is not None and self.session.control.state == "opening":
            return None
        notice, self._notice = self._notice, None
        return notice

    def newly_opened(self) -> SourceAndModel | None:
        """Return what is known about the source, once, when it is open; else None."""
        if self.opening is not None:
            self._follow_opening(self.opening)
        if self.session is not None and self.session.model_failed and self._models_before is not None:
            failed = Notice(self.session.error or "", "error")
            self._use_models(self._models_before)
            self.play_again()
            self._models_before, self._notice = None, failed
        session, source = self.session, self.source
        if session is None or source is None or self.opened is not None:
            return None
        if not self._admitted and session.found is not None:
            self._admit(session, source, session.found)
        if session.opened is None:
            return None
        self.opened = opened = session.opened
        self.models, self._models_before = replace(self.models, loaded=opened.model), None
        playback = opened.playback
        self.orientation = playback.orientation if playback.has_events else None
        self._camera = camera_name(source, playback.serial)
        if self._camera:
            now = self._settings.now
            denoise, mirrored = self._camera in now.filtered, self._camera in now.mirrored
            self.apply(replace(self.choices, denoise=denoise, mirrored=mirrored))
        if self._place is not None:
            if self._place.paused:
                session.control.toggle()
            if self._place.t_us or self._place.paused:
                self.seek(self._place.t_us / 1e6)
        return opened

    def turn(self, orientation: Orientation) -> None:
        """Go on with another orientation, which is remembered for a camera or a stream.

        A recording goes on as it began. A source that was handed over open can't be opened again: there the
        orientation holds for the next one of the same camera.
        """
        if self._camera:
            self._settings.update(partial(_mounted, camera=self._camera, orientation=orientation))
        if isinstance(self.source, str | Path):
            self.orientation = orientation
            self.play_again()

    def toggle(self) -> None:
        """Pause, go on, or play again; before the source is open, do nothing."""
        if self.session is not None and self.opened is not None:
            self.session.control.toggle()

    def step(self, frames: int) -> None:
        if self.session is None or self.opened is None or self.opened.playback.live:
            return
        if self.session.control.state == "playing":
            self.session.control.toggle()
        self.session.control.step(frames)

    def seek(self, seconds: float) -> None:
        duration_us = None if self.opened is None else self.opened.playback.duration_us
        if self.session is not None and duration_us is not None:
            self.t_us = min(max(round(seconds * 1e6), 0), duration_us)
            self.session.control.seek(self.t_us)

    def skip(self, seconds: float) -> None:
        self.seek(self.t_us / 1e6 + seconds)

    def reset(self) -> None:
        if self.session is not None:
            self.session.control.reset()

    def learn_hot_pixels(self) -> None:
        if self.session is not None:
            self.session.control.learn_hot_pixels()

    def apply(self, choices: Choices) -> None:
        """Play in this way, now and later, until the window closes."""
        self.choices = choices
        if self.session is not None:
            self.session.control.apply(choices)

    def choose(self, **fields: Any) -> None:
        """Change fields of the choices, now and for the next start of livesnn, or for this camera or stream."""
        if kept := {name: value for name, value in fields.items() if name not in (*OF_CAMERA, *FORGOTTEN)}:
            self._settings.choose(**kept)
        for name in OF_CAMERA.keys() & fields if self._camera else ():
            others = {*getattr(self._settings.now, OF_CAMERA[name])} - {self._camera}
            cameras = others | {self._camera} if fields[name] else others
            self._settings.change(**{OF_CAMERA[name]: tuple(sorted(cameras))})
        self.apply(replace(self.choices, **fields))

    def choose_decider(self, decider: Decider, card: ModelCard | None) -> None:
        self._settings.change(choices=self._settings.now.choices.with_decider(decider, card))
        self.apply(self.choices.with_decider(decider, card))

    def compare(self, second: Second | None) -> None:
        self.second = second
        if self.session is not None:
            self.session.comparer.use(second)

    @property
    def model(self) -> str:
        return self.models.name

    @property
    def card(self) -> ModelCard | None:
        """Of the model in use; None: it can't be read."""
        try:
            return self.models.card() if self.opened is None else self.opened.model.card
        except ModelError:
            return None

    def set_model(self, model: str, engine: Engine) -> None:
        """Use this model on this engine from now on, as a person wants it.

        What plays goes on as it is where the model can't be used, or can't take it.
        """
        if self.opened is not None:
            try:
                fits = takes(read_card(model), self.opened.playback, self.source)
            except ModelError as error:
                self._notice = Notice(str(error), "error")
                return
            if not fits:
                words = f"{Path(model).name} can't read this source. It will be used for the next source that fits"
                self._notice = Notice(words, "info")
                self._use_models(self.models.choose(model, engine, later=True))
                return
            self._models_before = self.models
        self._use_models(self.models.choose(model, engine))
        self.play_again()

    def _use_models(self, models: ModelChoice) -> None:
        self.models = models
        self._settings.change(model=models.chosen_name if models.by_person else "", engine=models.engine)

    @property
    def can_record(self) -> bool:
        if self.session is None or self.opened is None:
            return False
        live_events = self.opened.playback.live and self.opened.playback.has_events
        return live_events and self.session.control.state in ("playing", "waiting", "paused")

    def record(self, path: Path) -> None:
        """Write what arrives from now on to a new file, unless a recording is being written."""
        if self.session is None or self.recorder is not None:
            return
        self.recorder = self.session.control.record(path)
        if self.recorder is not None:
            self._recorders.append(self.recorder)

    def stop_recording(self) -> None:
        if self.recorder is not None:
            if self.session is not None:
                self.session.control.use_recorder(None)
            self.recorder.stop()
            self.recorder = None

    def take_finished(self) -> list[Recorder]:
        """Return each recording once, when its file is complete; stop the one whose source has ended."""
        over = self.session is None or self.session.control.state in ("ended", "failed")
        if self.recorder is not None and (over or self.recorder.finished):
            self.stop_recording()
        finished = [recorder for recorder in self._recorders if recorder.finished]
        self._recorders = [recorder for recorder in self._recorders if recorder not in finished]
        return finished

    def leave(self) -> None:
        """End the session and count what it did; one whose source hangs ends later by itself."""
        if self.session is None:
            return
        self.session.control.use_recorder(None)  # a hanging session may go on later
        self._hanging = [session for session in self._hanging if not session.stop(0)]
        if not self.session.stop(PATIENCE_S):
            self._hanging.append(self.session)
            self.models = replace(self.models, loaded=None)  # two sessions may not step one model
        self.last_error = self.session.error or self.last_error
        self.tally.decisions.update(self.session.decisions)
        self._n_decisions += self.session.n_decisions
        self._dropped += self.session.statistics.dropped
        self.session = None

    def end(self, heir: Player | None = None) -> None:
        """End all sessions and recordings; one that hangs is waited for, or left to ``heir`` until its own end.

        The heir's summary has what this one did, too.
        """
        self.stop_recording()
        self._drop_opening()
        self.leave()
        for recorder in self._recorders:
            recorder.close()
        if heir is not None:
            heir._hanging += self._hanging
            heir.tally.decisions.update(self.tally.decisions)
            heir._n_decisions += self._n_decisions
            heir._dropped += self._dropped
            self._hanging = []
        deadline_s = time.monotonic() + LAST_PATIENCE_S
        for session in self._hanging:
            session.stop(max(deadline_s - time.monotonic(), 0))
        _PLAYING.discard(self)
        if not _PLAYING:
            end_preparing()  # also of models that were left before they were ready

    def summary(self, frames_shown: int) -> Summary:
        return Summary(
            frames_shown=frames_shown,
            decisions=self._n_decisions,
            majority=self.tally.majority,
            dropped=self._dropped,
        )


def _mounted(settings: Settings, camera: str, orientation: Orientation) -> Settings:
    """Return settings that remember how a camera is turned, unless it is upright."""
    others = {name: value for name, value in settings.mounted.items() if name != camera}
    return replace(settings, mounted=others if orientation == Orientation() else {**others, camera: orientation})
