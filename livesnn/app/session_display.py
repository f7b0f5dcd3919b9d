"""Shows the newest of everything that a session has. What a person can do is in main_window.py."""

from __future__ import annotations

import time
from collections import deque
from pathlib import Path

from livesnn.app import style
from livesnn.app.demo import title_of
from livesnn.app.model_dialog import engine_name
from livesnn.app.player import folder_of
from livesnn.app.window_layout import WindowLayout
from livesnn.card import ModelCard
from livesnn.events.recording import Recording
from livesnn.infer.statistics import Percentiles
from livesnn.infer.switching_engine import PREPARING, note_of
from livesnn.session.camera_settings import SIMULATED
from livesnn.session.control import ShownState
from livesnn.session.rate_profile import ProfileReader
from livesnn.session.results import ShownResult
from livesnn.session.session import Session, SourceAndModel, SourceLike
from livesnn.session.statistics import LAST_RESULTS

LOSS_READS = 20  # the share of dropped events is of so many reads: two seconds
READ_S = 0.1  # numbers and what must agree with them change at most this often, so that people can read them
NEXT = "Choose another source, or drop a recording here"
OPENING = "Opening …"
WELCOME = ("What do you want to look at?", "An event camera sees whatever moves, and the network recognises it.")
PATIENCE_S = 0.2  # how long a person waits for the thread that read the last recording's event rate


class SessionDisplay:
    """Shows the newest of everything that the player's session has.

    `poll` also notices another session; where a message follows, call `begin` first, since it hides the last one.
    """

    def __init__(self, window: WindowLayout) -> None:
        self._window, self._player = window, window.player
        self._session: Session | None = None
        self._read_at_s = 0.0
        self._source: SourceLike | None = None  # of the session
        self._opening = ""  # what was said of an opening
        self._profile_reader: ProfileReader | None = None
        self._of_result = (window.readout, window.window_panel, window.state_panel)  # what shows a result
        window.view.canvas.painted.connect(self._painted)
        self._forget()
        window.view.show_words(*WELCOME, ways=True)

    def begin(self) -> None:
        session = self._player.session
        if session is None or session is self._session:
            return
        self._session = session
        self._forget()
        if self._player.source != self._source:
            self._window.transport.speed.choose(1.0)  # who skipped through one file wants to see the next one
        self._source = self._player.source
        self._window.banner.hide()
        self._window.header.show_names(session.name)
        self._window.setWindowTitle(window_title(session.name, self._player.source))
        self._window.view.show_words(OPENING, session.name)  # not what was played before
        self._follow_state(session)

    def end(self, timeout_s: float = 2.0) -> None:
        """End the thread that reads event rates, waiting at most so long for it."""
        if self._profile_reader is not None:
            self._profile_reader.close(timeout_s)
            self._profile_reader = None

    def poll(self) -> None:
        opened = self._player.newly_opened()
        self.begin()
        if opened is not None and self._session is not None:
            self._show_opened(self._session.name, opened)
            self._window.source_opened.emit()
        session = self._session
        if session is None:
            return
        self._follow_state(session)
        opening = "" if self._player.opening is None else self._player.opening.words
        if opening and opening != self._opening:
            self._window.banner.show_message(opening, "info")
        self._opening = opening
        if (notice := self._player.take_notice()) is not None:
            self._window.banner.show_message(notice.text, notice.kind, *notice.actions)
        picture = session.pictures.take()
        if picture is not None and picture.jumps == session.control.jumps:  # none from before the last jump
            self._player.t_us = picture.t_us
            self._window.view.show_picture(picture.rgb, picture.arrived_s)
            self._window.transport.show_position(picture.t_us / 1e6)
        now_s = time.perf_counter()
        read = now_s - self._read_at_s >= READ_S
        if read:
            self._read_at_s = now_s
            statistics = session.statistics
            self._window.numbers.show_statistics(statistics, Percentiles.of(self._show_ms))
            # Say on the picture which share of the last seconds' events was dropped.
            self._came.append((statistics.events + statistics.unread + statistics.dropped, statistics.dropped))
            came, dropped = (last - first for first, last in zip(self._came[0], self._came[-1], strict=True))
            self._window.view.canvas.set_loss(dropped / max(came, 1))
            if session.history is not None and self._state in ("playing", "waiting"):
                session.history.add_statistics(statistics, session.history.now_s())
            line = self._window.transport.line
            self._follow_length()
            for decision in session.take_decisions():
                line.add_decision(decision.start_us / 1e6, decision.end_us / 1e6, decision.label)
            profile = self._profile_reader.latest.take() if self._profile_reader is not None else None
            if profile is not None:
                line.set_profile(profile)
            self._follow_engine()
        self._follow_results(session, read=read)

    def _forget(self) -> None:
        self.end(PATIENCE_S)
        self._came: deque[tuple[int, int]] = deque(maxlen=LOSS_READS)  # events that came, and were dropped
        self._show_ms: deque[float] = deque(maxlen=LAST_RESULTS)
        self._state: ShownState = "empty"
        self._lost = self._engine_note = ""
        self._length_us = self._shown_us = 0  # of a recording; what the timeline shows
        self._warnings: tuple[str, ...] = ()
        self._resets = 0
        self._result: ShownResult | None = None  # not shown yet
        self.shown: ShownResult | None = None  # what the panels show
        window = self._window
        self._clear(None)
        window.transport.set_recording(None)

    def _clear(self, card: ModelCard | None) -> None:
        for panel in (*self._of_result, self._window.numbers):
            panel.clear(card)

    def _painted(self, arrived_s: float) -> None:
        if arrived_s:  # 0: the picture has nothing new
            milliseconds = 1e3 * (time.perf_counter() - arrived_s)
            self._show_ms.append(milliseconds)
            if self._session is not None and self._session.history is not None:
                self._session.history.add_shown(milliseconds)

    def _follow_length(self) -> None:
        """Lengthen the timeline of a recording that is being indexed: seldom, since that blurs its decisions."""
        opened = self._player.opened
        duration_us = 0 if opened is None else opened.playback.duration_us or 0
        settled, self._length_us = duration_us == self._length_us, duration_us
        if 0 < self._shown_us < duration_us and (settled or duration_us > 1.25 * self._shown_us):
            self._shown_us = duration_us
            self._window.transport.lengthen(duration_us / 1e6)

    def _follow_results(self, session: Session, *, read: bool) -> None:
        """Show the newest result, but none from before a person's last reset."""
        self._result = session.results.take() or self._result
        if session.control.resets != self._resets:
            self._resets = session.control.resets
            for panel in self._of_result:
                panel.wait()
            self.shown = None
        self._window.readout.show_note(session.note)
        if self._result is not None and self._result.resets < self._resets:
            self._result = None
        if read and self._result is not None:
            for panel in self._of_result:
                panel.show_result(self._result)
            self.shown, self._result = self._result, None
        if read and (silence := session.silence) is not None:
            self._window.readout.show_silence(silence)

    def _follow_engine(self) -> None:
        opened = self._player.opened
        if opened is None:
            return
        engine, note = engine_name(opened.model.engine), note_of(opened.model)
        self._window.header.show_engine(engine)
        self._window.numbers.show_engine(engine, PREPARING if note == PREPARING else "")
        if note and note not in (PREPARING, self._engine_note):
            self._engine_note = note
            self._window.banner.show_warnings([note])

    def _follow_state(self, session: Session) -> None:
        if session.warnings and session.warnings != self._warnings:
            self._warnings = session.warnings
            self._window.banner.show_warnings(session.warnings)
        if session.control.lost != self._lost:
            self._show_lost(session.control.lost)
        if session.control.state != self._state:
            self._state = session.control.state
            window = self._window
            for part in (window.header, window.transport, window.state_panel):
                part.show_state(self._state)
            if self._state == "ended" and not window.view.has_picture:
                window.view.show_words(session.note, NEXT, ways=True)
            if self._state == "failed" and session.error is not None:
                self._show_failed(session.error, model=session.model_failed)
        if self._state == "opening":
            share = session.reading
            title = OPENING if not share else f"Reading: {share:.0%}"
            self._window.view.show_words(title, session.name)

    def _show_lost(self, lost: str) -> None:
        first, self._lost = not self._lost, lost
        banner = self._window.banner
        being_read = banner.kind == "waiting" and not banner.isHidden()
        if lost and (first or being_read):  # else it was closed, or another message is being read
            banner.show_message(lost, "waiting")
        elif banner.kind == "waiting":
            banner.hide()

    def _show_opened(self, source: str, opened: SourceAndModel) -> None:
        window, card, playback = self._window, opened.model.card, opened.playback
        known = f"recognises {', '.join(style.readable(name) for name in card.classes)}"
        name = title_of(source)
        model = Path(self._player.model).resolve().name
        window.header.show_names(
            name, model, engine=engine_name(opened.model.engine), about_model=f"{card.name} {known}"
        )
        window.setWindowTitle(window_title(name, self._player.source))
        self._shown_us = playback.duration_us or 0
        duration_s = None if playback.duration_us is None else playback.duration_us / 1e6
        simulated = source.startswith(SIMULATED)
        window.transport.set_recording(duration_s, card.classes, playback.labels, simulated=simulated)
        self._clear(card)
        window.readout.show_doubt(card.on_another_sensor(*playback.resolution) if playback.has_events else "")
        window.view.set_input(card.input)
        if playback.path is not None and duration_s and playback.has_events:
            played = playback.source if isinstance(playback.source, Recording) else None
            self._profile_reader = ProfileReader(playback.path, played)

    def _show_failed(self, error: str, *, model: bool) -> None:
        window = self._window
        can = isinstance(self._player.source, str | Path)  # not where it was handed over open
        window.banner.show_message(error, "error", *[("Try again", self._player.play_again)] * can)
        if window.view.has_picture:
            return
        if model:
            window.view.show_words("This model can't be used", "Choose another model with Ctrl+M")
        else:
            window.view.show_words("Nothing to show", NEXT, ways=True)


def window_title(name: str, source: object) -> str:
    folder = folder_of(source)
    return f"{name} – livesnn" if folder is None else f"{name} ({folder.name or folder}) – livesnn"
