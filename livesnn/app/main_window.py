"""The window: polls the session's mailboxes, passes on what a person wants.

Not here: threads (session.py), where things are (layout.py), painting (views.py, event_view.py).
"""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path
from typing import TypedDict

from PySide6.QtCore import Qt, QTimer, Slot
from PySide6.QtGui import QCloseEvent, QDragEnterEvent, QDropEvent, QKeySequence, QShortcut
from PySide6.QtWidgets import QFileDialog

from livesnn.app import style
from livesnn.app.layout import WindowLayout
from livesnn.app.session import PICTURE_EVERY_S, Session, SourceLike
from livesnn.app.values import Answer, Opened
from livesnn.events import Resolution
from livesnn.infer import Model
from livesnn.paths import recordings_dir

POLL_MS = 16
READ_S = (
    0.1  # numbers, and what must agree with them, change at most this often, so that people can read them
)
NEXT = "Open another recording, or drop one here"
FILE_FILTER = "Event recordings (*.aedat4 *.bin *.npz);;All files (*)"


class Summary(TypedDict):
    """What the window did until it was closed."""

    frames_shown: int
    decisions: int
    majority: str | None
    dropped: int


class MainWindow(WindowLayout):
    """The app: one session at a time, replaced when another source is opened.

    Parameters
    ----------
    model
        Name or folder of the model; loaded when the first source is opened, and kept.
    loop
        Whether recordings start again at their end, until a person says otherwise.
    picture_every_s
        Least time between two pictures; 0: one a packet.
    """

    def __init__(
        self, model: str | Model, *, loop: bool = True, picture_every_s: float = PICTURE_EVERY_S
    ) -> None:
        super().__init__()
        self.session: Session | None = None
        self.last_error: str | None = None
        self._model = model
        self._model_name = Path(model).resolve().name if isinstance(model, str) else model.card.name
        self.folder = recordings_dir()  # where the file dialog starts
        self._picture_every_s = picture_every_s
        self._opened: Opened | None = None
        self._state = ""
        self._warnings: tuple[str, ...] = ()
        self._note = ""
        self._resets = 0
        self._answer: Answer | None = None  # not shown yet
        self._read_at_s = 0.0
        self._decisions: Counter[str] = Counter()
        self._n_decisions = 0
        self._dropped = 0
        self._connect()
        self.transport.loop.setChecked(loop)
        self._show_empty()
        self.timer = QTimer(self)
        self.timer.timeout.connect(self.poll)
        self.timer.start(POLL_MS)

    def _connect(self) -> None:
        self.header.open_wanted.connect(self.choose_file)
        self.transport.play_wanted.connect(self.toggle_play)
        self.transport.seek_wanted.connect(self.seek)
        self.transport.speed_wanted.connect(self.set_speed)
        self.transport.loop_wanted.connect(self.set_loop)
        self.transport.reset_wanted.connect(self.reset_state)
        for key, slot in (
            (Qt.Key.Key_Space, self.toggle_play),
            (Qt.Key.Key_R, self.reset_state),
            (Qt.Key.Key_L, self.transport.loop.toggle),
            (Qt.Key.Key_Left, self.step_back),
            (Qt.Key.Key_Right, self.step_forward),
            (QKeySequence.StandardKey.Open, self.choose_file),
            (QKeySequence.StandardKey.Quit, self.close),
        ):
            QShortcut(QKeySequence(key), self).activated.connect(slot)

    # What a person wants

    def open(self, source: SourceLike) -> None:
        """Leave what is playing and play this; what goes wrong is shown as a banner."""
        self._leave()
        self.banner.hide()
        self._opened, self._state, self._warnings, self._note = None, "", (), ""
        self._resets, self._answer = 0, None
        if isinstance(source, str | Path):
            folder = Path(source).absolute().parent
            self.folder = folder if folder.is_dir() else self.folder
        self.readout.clear(())
        self.transport.set_recording(None)
        self.session = Session(
            source,
            self._model,
            loop=self.transport.loop.isChecked(),
            speed=self.transport.speed.currentData(),
            picture_every_s=self._picture_every_s,
        )
        self.session.start()
        self.header.show_names(self.session.name, "")
        self._follow_state()

    @Slot()
    def choose_file(self) -> None:
        """Ask for a recording and open it."""
        path, _ = QFileDialog.getOpenFileName(self, "Open a recording", str(self.folder), FILE_FILTER)
        if path:
            self.open(path)

    @Slot()
    def toggle_play(self) -> None:
        """Pause, go on, or play again."""
        if self.session is not None:
            self.session.toggle()

    @Slot()
    def reset_state(self) -> None:
        """Set the network's state to zero before its next frame."""
        if self.session is not None:
            self.session.reset()

    @Slot(float)
    def seek(self, seconds: float) -> None:
        """Go on from this time after the start."""
        if self.session is not None and self._opened is not None and self._opened.duration_us is not None:
            self.session.seek(min(max(round(seconds * 1e6), 0), self._opened.duration_us))

    @Slot()
    def step_back(self) -> None:
        """Go back by a second."""
        self.seek(self.transport.line.value() / 1000 - 1)

    @Slot()
    def step_forward(self) -> None:
        """Go on by a second."""
        self.seek(self.transport.line.value() / 1000 + 1)

    @Slot(float)
    def set_speed(self, speed: float) -> None:
        """Replay at this multiple of real time; inf is as fast as possible."""
        if self.session is not None:
            self.session.set_speed(speed)

    @Slot(bool)
    def set_loop(self, loop: bool) -> None:
        """Start again at the end, or stop there."""
        if self.session is not None:
            self.session.set_loop(loop)

    # What the session says

    @Slot()
    def poll(self) -> None:
        """Show the newest of everything, or nothing."""
        session = self.session
        if session is None:
            return
        self._follow_state()
        picture = session.pictures.take()
        if picture is not None:
            self.view.show_picture(picture.rgb)
            self.transport.show_position(picture.t_us / 1e6)
        now_s = time.perf_counter()
        read = now_s - self._read_at_s >= READ_S
        if read:
            self._read_at_s = now_s
            self.strip.show_statistics(session.statistics)
        self._follow_answers(session, read=read)

    def _follow_answers(self, session: Session, *, read: bool) -> None:
        """Show the newest answer, but none from before a reset that a person has asked for."""
        self._answer = session.answers.take() or self._answer
        if session.resets != self._resets:
            self._resets = session.resets
            self.readout.wait()
        if session.note != self._note:
            self._note = session.note
            self.readout.show_note(session.note)
        if self._answer is not None and self._answer.resets < self._resets:
            self._answer = None
        if read and self._answer is not None:
            self.readout.show_answer(self._answer)
            self._answer = None

    def _follow_state(self) -> None:
        session = self.session
        if session is None:
            return
        if session.opened is not self._opened and session.opened is not None:
            self._opened = session.opened
            self._model = session.opened.model  # loaded once
            self._show_opened(session.opened)
        if session.warnings and session.warnings != self._warnings:
            self._warnings = session.warnings
            self.banner.show_warnings(session.warnings)
        if session.state == self._state:
            return
        self._state = session.state
        self.header.show_state(self._state)
        self.transport.show_state(self._state)
        if self._state == "opening":
            self.view.show_words("Opening …", session.name)
        if self._state == "ended" and not self.view.has_picture:
            self.view.show_words(session.note, NEXT)
        if self._state == "failed" and session.error is not None:
            self._show_failed(session.error, model=session.model_failed)

    def _show_opened(self, opened: Opened) -> None:
        duration_us = opened.duration_us
        card = opened.model.card
        known = f"this model knows: {', '.join(style.readable(name) for name in card.classes)}"
        self.header.show_names(opened.name, self._model_name, about_model=f"{card.name}; {known}")
        self.setWindowTitle(f"{opened.name} – livesnn")
        self.transport.set_recording(None if duration_us is None else duration_us / 1e6)
        self.readout.clear(card.classes, card.input)
        self.view.set_input(Resolution(card.input.width, card.input.height))

    def _show_failed(self, error: str, *, model: bool) -> None:
        self.banner.show_error(error)
        if self.view.has_picture:
            return
        if model:
            self.view.show_words(
                "The model can't be used", "Start again with another: livesnn gui --model NAME"
            )
        else:
            self.view.show_words("Nothing to show", NEXT)

    def _show_empty(self) -> None:
        self.header.show_state("empty")
        self.transport.show_state("empty")
        self.readout.clear(())
        self.view.show_words(
            "Open a recording", "Drop a file here, or press Ctrl+O  ·  .aedat4, N-MNIST .bin, .npz"
        )

    # Files dropped on the window, and the end

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:  # noqa: N802 (Qt's name)
        """Take files, nothing else."""
        if any(url.isLocalFile() for url in event.mimeData().urls()):
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:  # noqa: N802 (Qt's name)
        """Open the first file dropped."""
        for url in event.mimeData().urls():
            if url.isLocalFile():
                event.acceptProposedAction()
                self.open(str(Path(url.toLocalFile())))
                return

    def closeEvent(self, event: QCloseEvent) -> None:  # noqa: N802 (Qt's name)
        """Leave no thread behind."""
        self.timer.stop()
        self._leave()
        event.accept()

    def _leave(self) -> None:
        if self.session is None:
            return
        self.session.stop()
        self.last_error = self.session.error or self.last_error
        self._decisions.update(self.session.decisions)
        self._n_decisions += self.session.n_decisions
        self._dropped += self.session.statistics.dropped
        self.session = None

    def summary(self) -> Summary:
        """Return what all sessions that have ended did."""
        majority = self._decisions.most_common(1)
        return Summary(
            frames_shown=self.view.shown,
            decisions=self._n_decisions,
            majority=majority[0][0] if majority else None,
            dropped=self._dropped,
        )
