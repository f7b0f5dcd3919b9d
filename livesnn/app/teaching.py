"""Teaching the model in use a gesture: the dialog, and the steps of counting down, recording and learning."""

from __future__ import annotations

import threading
import time
from collections.abc import Generator, Iterator
from datetime import datetime
from functools import partial
from math import ceil
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from PySide6.QtCore import QPoint, Signal, Slot
from PySide6.QtWidgets import QProgressBar

from livesnn import subprocesses
from livesnn.app import style
from livesnn.app.recording_controls import proposed_name
from livesnn.app.session_display import WindowLayout
from livesnn.app.widgets.basics import Dialog, label, line_edit
from livesnn.errors import LivesnnError, SourceError, error_message
from livesnn.events.labels import labels_file
from livesnn.paths import own_models_dir
from livesnn.teach import (
    LONGEST_NAME,
    SIMULATED,
    Lesson,
    Recognised,
    check_lesson,
    check_teachable,
    describe_lesson,
    own_folder,
)
from livesnn.threads import Worker

READY_S, PERFORMED_S = 3.0, 10.0
OVER = ("ended", "failed")
LESSONS = "lessons"
"""Folder beside the taught models, with the recordings of lessons, from which other models can be taught."""
HOW = "Teach the model a gesture of your own"
LIVE_ONLY = (
    "The window teaches from a live source: open a camera or a stream, or use livesnn teach with recordings"
)
RECORDING = "Stop recording first"
ENDED = "The source ended before the gesture was recorded: open it again and start over"
LOST = "The source is lost: wait until it is back"
LOST_SINCE = "The source was lost before the gesture was recorded: start over once it is back"
NOT_THIS = (
    "This model can only be taught with livesnn teach --others: choose the model gestures here (Ctrl+M)"
)
HINT = (
    "Name the gesture, press Start, and perform it again and again for {seconds:g} seconds, as you will later. "
    "The model keeps its classes and learns one more. If it was taught a gesture of this name before, it learns "
    "more of that one."
)


LEARNING_LIMIT_S = 600.0  # Learning takes up to 40 s of a processor, which it has to share


class Learning:
    """Runs `livesnn teach` with these arguments in another process: in this one it would make the picture stutter.

    Without ``known``, it learns nothing that the model recognises already.
    """

    def __init__(
        self, gesture: str, recording: Path, model: str, out: Path, *, denoise: bool, known: bool = False
    ) -> None:
        self._learned: Lesson | Recognised | None = None
        flags = ["--model", model, "--out", str(out), "--json", *["--denoise"] * denoise]
        flags += ["--if-known", "go-on" if known else "stop"]
        self._command = subprocesses.command("teach", *flags, "--", gesture, str(recording))
        self._worker = Worker("teach", self._learn).start()

    def take(self) -> Lesson | Recognised | LivesnnError | None:
        """Return what was learned, or why nothing was; None while it isn't done."""
        if self._worker.running:
            return None
        if self._worker.error is not None:
            return LivesnnError(error_message(self._worker.error).removeprefix("livesnn teach: "))
        return self._learned

    def close(self) -> None:
        self._worker.close()

    def _learn(self, stop: threading.Event) -> None:
        written = subprocesses.run_apart(self._command, stop, limit_s=LEARNING_LIMIT_S)
        if not stop.is_set():
            fields = msgspec.json.decode(written, type=dict[str, Any])
            known = fields.get("recognised")
            self._learned = msgspec.convert(*((known, Recognised) if known else (fields, Lesson)))


class Step(NamedTuple):
    """What to do now, more in small words, and the share that is done (None: unknown).

    ``button``: what a person can press to go on; "": nothing. ``cancel``: the other button. ``names``: whether the
    gesture is to be named.
    """

    now: str = ""
    words: str = ""
    share: float | None = None
    button: str = ""
    cancel: str = "Cancel"
    names: bool = False


Steps = Generator[Step, bool | None, None]  # Gets True where the step's button was pressed


def in_sentences(lesson: Lesson, recording: Path) -> str:
    """Return how well a gesture was learned, one sentence a line, and where the model and the recording are."""
    where = (
        f"the model is “{Path(lesson.folder).name}” in your list (Ctrl+M), and the recording is {recording}"
    )
    clauses = [*describe_lesson(lesson)[1:], where]
    return "\n".join(f"{clause[:1].upper()}{clause[1:]}." for clause in clauses)


class Teaching:
    """Teaches the player's model a gesture on request."""

    def __init__(self, window: WindowLayout) -> None:
        self._window, self._player = window, window.player
        self._dialog: TeachDialog | None = None
        self._steps: Steps | None = None
        self._pressed = False  # the button of the last step

    def ask(self) -> None:
        dialog = TeachDialog(self._window)
        dialog.show_step(Step("", HINT.format(seconds=PERFORMED_S), button="Start", names=True))
        dialog.pressed.connect(self._go_on)
        dialog.finished.connect(self.end)
        self._window.show_dialog(dialog)  # it first closes the last one, which ends its lesson
        self._dialog = dialog

    def end(self) -> None:
        steps, self._steps, self._dialog = self._steps, None, None
        if steps is not None:
            steps.close()  # ends what it began

    def _go_on(self) -> None:
        self._pressed = self._steps is not None
        if self._steps is None and self._dialog is not None:
            self._steps = self._give(self._dialog.name.text().strip())

    def poll(self) -> None:
        why_not, action = self._why_not(), self._window.commands["teach"]
        action.setEnabled(not why_not)
        action.setToolTip(why_not or HOW)
        if self._steps is None or self._dialog is None:
            return
        pressed, self._pressed = self._pressed or None, False
        try:
            self._dialog.show_step(self._steps.send(pressed))
        except StopIteration:
            self._steps = None
            self._dialog.close()
        except LivesnnError as error:
            self._steps = None
            self._dialog.show_step(Step("", error_message(error), button="Start", names=True))

    def _why_not(self) -> str:
        """Say why no gesture can be taught now; "": one can."""
        opened = self._player.opened
        if self._player.recorder is not None:
            return RECORDING
        if not self._player.can_record or opened is None:
            return LIVE_ONLY
        if self._player.session is not None and self._player.session.control.lost:
            return LOST
        card = opened.model.card
        try:
            check_teachable(card)
        except LivesnnError as error:
            return str(error)
        return "" if card.dataset == SIMULATED else NOT_THIS

    def _give(self, gesture: str) -> Steps:
        """Yield what to do now until the gesture is learned; raises LivesnnError if it can't be."""
        model, denoise = self._player.model, self._player.choices.denoise
        check_lesson(gesture, model)
        for left_s, share in self._time(READY_S):
            yield Step(f"Get ready: {left_s}", f"Then perform {gesture} again and again.", share)
        recording = yield from self._record(gesture)
        try:
            learn = partial(Learning, gesture, recording, model, own_folder(model, gesture), denoise=denoise)
            learned = yield from self._learn(gesture, learn())
            if isinstance(learned, Recognised):
                yield from self._ask_about(learned, gesture)
                learned = yield from self._learn(gesture, learn(known=True))
            assert isinstance(learned, Lesson)
        except BaseException:
            _forget(recording)
            raise
        now, words = describe_lesson(learned)[0], in_sentences(learned, recording)
        while not (yield Step(now, words, button="Use it", cancel="Not now")):
            pass
        self._window.model_requested.emit(learned.folder, self._player.engine)

    def _ask_about(self, known: Recognised, gesture: str) -> Steps:
        words = (
            f"If you go on, {known.label} may later be taken for {gesture}. Cancel keeps the model as it is."
        )
        while not (yield Step(known.question[:1].upper() + known.question[1:], words, button="Go on")):
            pass

    @staticmethod
    def _learn(gesture: str, learning: Learning) -> Generator[Step, bool | None, Lesson | Recognised]:
        """Yield steps until the gesture is learned, or found to be known; return the lesson, or as what."""
        begun_s = time.monotonic()
        try:
            while (learned := learning.take()) is None:
                gone = f"{time.monotonic() - begun_s:.0f} s so far"
                words = f"You can stop moving. The first time takes about a minute: {gone}."
                yield Step(f"Learning {gesture} …", words)
        finally:
            learning.close()
        if isinstance(learned, LivesnnError):
            raise learned
        return learned

    def _record(self, gesture: str) -> Generator[Step, bool | None, Path]:
        """Yield steps until the gesture is recorded; return the file, which has its labels beside it."""
        session, path = self._player.session, _new_file(gesture)
        if session is None or (recorder := session.control.record(path)) is None:
            raise LivesnnError(ENDED)
        try:
            recorder.label(gesture)
            for left_s, share in self._time(PERFORMED_S):
                if recorder.finished or self._player.session is not session or session.control.state in OVER:
                    raise LivesnnError(ENDED if recorder.error is None else error_message(recorder.error))
                if session.control.lost:
                    raise LivesnnError(LOST_SINCE)
                yield Step(gesture, f"Perform it again and again: {left_s} s left.", share)
            session.control.use_recorder(None)
            recorder.stop()
            while not recorder.finished:
                yield Step("Writing …")
            if recorder.error is not None:
                raise LivesnnError(error_message(recorder.error))
        except BaseException:  # abandoned or failed: nobody needs the file
            session.control.use_recorder(None)
            recorder.close()
            _forget(path)
            raise
        return path

    @staticmethod
    def _time(seconds: float) -> Iterator[tuple[int, float]]:
        """Yield the seconds left and the share gone by, until the time is over."""
        begun_s = time.monotonic()
        while (gone_s := time.monotonic() - begun_s) < seconds:
            yield ceil(seconds - gone_s), gone_s / seconds


def _forget(recording: Path) -> None:
    for file in (recording, labels_file(recording)):
        file.unlink(missing_ok=True)


def _new_file(gesture: str) -> Path:
    folder = own_models_dir() / LESSONS
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SourceError(
            f"{folder} can't be made ({error.strerror}): set LIVESNN_MODELS to another folder"
        ) from error
    return folder / proposed_name(gesture, datetime.now())


class TeachDialog(Dialog):
    """Shows one step after another; it stands over the right column, so that a person sees the picture."""

    pressed = Signal()

    def __init__(self, window: WindowLayout) -> None:
        super().__init__("Teach a gesture", window)
        self.name = line_edit("", "thumbs up", "Name of the gesture")
        self.name.setMaxLength(LONGEST_NAME)
        self.words = label("", style.text_font(14), "soft", wrap=True)
        self.now = label("", style.bold_font(26), wrap=True)
        self.share = QProgressBar()
        self.share.setRange(0, 1000)
        self.share.setTextVisible(False)
        self.share.setFixedHeight(8)
        for part in (self.now, self.words, self.name, self.share):
            self.column.addWidget(part)
        self.button = self.add_buttons("Start")
        self.button.setEnabled(False)
        self.name.textChanged.connect(self._typed)
        self.setFixedWidth(max(window.readout.width() - 2, 300))
        self.move(window.readout.mapToGlobal(QPoint(window.readout.width() - self.width() - 2, 0)))

    def show_step(self, step: Step) -> None:
        self.name.setVisible(step.names)
        self.button.setText(step.button or self.button.text())
        self.button.setVisible(bool(step.button))
        self.cancel.setText(step.cancel)
        self.share.setValue(round(1000 * (step.share or 0)))
        self.share.setVisible(step.share is not None)
        if (step.now, step.words) == (self.now.text(), self.words.text()):
            return  # it is called each time the window looks
        self.now.setText(step.now)
        self.now.setVisible(bool(step.now))
        self.words.setText(step.words)
        needed = self.column.totalHeightForWidth(self.width())
        if needed > self.height():
            self.resize(self.width(), needed)

    def accept(self) -> None:
        """Tell that the button was pressed; the dialog stays."""
        self.pressed.emit()

    @Slot(str)
    def _typed(self, text: str) -> None:
        self.button.setEnabled(bool(text.strip()))
