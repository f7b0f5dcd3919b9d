"""Teaching the model in use a gesture: the dialog, its steps, and learning from an error while the source plays."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from math import ceil
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import msgspec
from PySide6.QtCore import QPoint, Signal, Slot
from PySide6.QtWidgets import QDialogButtonBox, QProgressBar

from livesnn import subprocesses
from livesnn.app import style
from livesnn.app.widgets.basics import Dialog, dialog_button, label, line_edit
from livesnn.app.window_layout import WindowLayout
from livesnn.console import capitalised, sentences
from livesnn.errors import LivesnnError, ModelError, error_message
from livesnn.events.recorder import Recorder
from livesnn.infer.load import model_folder
from livesnn.session.session import CORRECTED_S
from livesnn.teach.lesson import READY_S, Recordings, forget, new_recording, recordings_of
from livesnn.teach.model import (
    LONGEST_NAME,
    SIMULATED,
    Report,
    Resemblance,
    as_taught,
    check_lesson,
    check_teachable,
    describe,
    describe_measured,
    own_folder,
)
from livesnn.threads import Worker

PERFORMED_S = 10.0
LEARNING_LIMIT_S = 600.0  # Learning takes up to 40 s of a processor, which it has to share
OVER = ("ended", "failed")
HOW = "Teach the model a gesture of your own"
LIVE_ONLY = "The window teaches from a live source: open a camera or a stream, or use livesnn teach with recordings"
RECORDING = "Stop recording first"
PAUSED = "Go on first (Space)"
ENDED = "The source ended or was lost before the gesture was recorded: start over once it is back"
NOT_THIS = "This model can only be taught with livesnn teach --others: choose the model gestures here (Ctrl+M)"
HINT = (
    "Name the gesture, press Start, and stand still until you are told to begin. "
    "Then perform it again and again for {seconds:g} seconds, as you will later. "
    "The model keeps its classes and learns one more. If it was taught this gesture before, it learns "
    "more examples of it. Learning makes a new model. It takes some five seconds, or up to a minute the first time."
)


@dataclass(frozen=True)
class Renaming:
    """A model in which a class has another name; None: in which it is missing."""

    folder: str
    gesture: str
    name: str | None = None


Outcome = Report | Resemblance | Renaming


class Learning:
    """Runs `livesnn teach` in another process: in this one it would make the picture stutter.

    ``sources`` are its recordings and ``flags`` its other flags. The model is written to ``out``.
    """

    def __init__(
        self, gesture: str, sources: Sequence[str | Path], model: str, out: Path, *flags: str | Path
    ) -> None:
        self._learned: Outcome | None = None
        arguments = [*flags, "--model", model, "--out", out, "--json", "--", gesture, *sources]
        self._command = subprocesses.command("teach", *map(str, arguments))
        self._worker = Worker("teach", self._learn).start()

    def take(self) -> Outcome | LivesnnError | None:
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
            kind: type[Outcome] = Resemblance if known else Renaming if "name" in fields else Report
            self._learned = msgspec.convert(known or fields, kind)


def as_flags(files: Recordings) -> list[str]:
    """Return the flags of `livesnn teach` for what isn't the gesture, and for its noise."""
    return [*(["--others", *files.others] if files.others else []), *["--denoise"] * files.denoise]


class Step(NamedTuple):
    """What to do now, more in small words, and the share that is done (None: unknown).

    ``button``: what a person can press to go on; "": nothing. ``other``: what else. ``cancel``: the last button.
    ``names``: whether the gesture is to be named.
    """

    now: str = ""
    words: str = ""
    share: float | None = None
    button: str = ""
    other: str = ""
    cancel: str = "Cancel"
    names: bool = False


Returned = TypeVar("Returned")
# Gets True where the step's button was pressed, and False where its other one was.
Steps = Generator[Step, bool | None, Returned]


class Teaching:
    """Teaches the player's model a gesture on request."""

    def __init__(self, window: WindowLayout) -> None:
        self._window, self._player = window, window.player
        self._dialog: TeachDialog | None = None
        self._steps: Steps[None] | None = None
        self._pressed: bool | None = None  # the button of the last step, or its other one

    def ask(self) -> None:
        if why_not := self._why_not():
            self._window.banner.show_message(why_not, "info")
            return
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

    def _go_on(self, main: bool) -> None:
        self._pressed = None if self._steps is None else main
        if self._steps is None and self._dialog is not None:
            self._steps = self._give(self._dialog.name.text().strip())

    def poll(self) -> None:
        self._window.commands["teach"].setToolTip(self._why_not() or HOW)
        if self._steps is None or self._dialog is None:
            return
        pressed, self._pressed = self._pressed, None
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
        if self._player.session is not None and self._player.session.control.state == "paused":
            return PAUSED
        card = opened.model.card
        try:
            check_teachable(card)
        except LivesnnError as error:
            return str(error)
        return "" if card.dataset == SIMULATED else NOT_THIS

    def _give(self, gesture: str) -> Steps[None]:
        """Yield what to do now until the gesture is learned; raises LivesnnError if it can't be."""
        model, denoise = self._player.model, self._player.choices.denoise
        gesture = as_taught(gesture, model)
        check_lesson(gesture, model)
        shown: list[Path] = []  # recordings that a model has learned from
        before: Report | None = None  # what the last of them taught
        while True:
            recording = yield from self._record(gesture)
            try:
                learned = yield from self._learn_from([*shown, recording], gesture, model, denoise)
            except BaseException:
                forget(recording)
                raise
            if isinstance(learned, Renaming):
                made = learned.folder
                forget(recording)
                yield from _renamed(learned)
                break
            worse = before is not None and learned.share < before.share
            if before is not None and not worse:
                shutil.rmtree(before.folder, ignore_errors=True)  # the new one has learned all of it
            made = learned.folder
            shown.append(recording)
            if not (yield from _shown_again(learned, recording, before if worse else None)):
                break
            before = learned
        self._window.model_requested.emit(made, self._player.models.engine)

    def _learn_from(self, shown: list[Path], gesture: str, model: str, denoise: bool) -> Steps[Report | Renaming]:
        """Return the lesson; or, where the gesture is known and the person wants it, another name for what it is."""
        out = own_folder(model, gesture)
        learn = partial(Learning, gesture, shown, model, out, *["--denoise"] * denoise, "--if-known")
        learned = yield from _learn(gesture, learn("go-on" if len(shown) > 1 else "stop"))
        if isinstance(learned, Resemblance):
            renames = yield from self._ask_about(learned, gesture)
            named = Learning(learned.label, [], model, out, "--rename", gesture) if renames else learn("go-on")
            learned = yield from _learn(gesture, named)
        assert isinstance(learned, Report | Renaming)
        return learned

    @staticmethod
    def _ask_about(known: Resemblance, gesture: str) -> Steps[bool]:
        """Return True to give what is known another name, and False to learn the gesture."""
        words = (
            f"Rename it: the model learns nothing. From now on, it calls {known.label} “{gesture}”.\n"
            f"Learn it anyway: the model learns {gesture}, and {known.label} may later be taken for it.\n"
            "Cancel: the model stays as it is."
        )
        question = capitalised(known.words)
        while (pressed := (yield Step(question, words, button="Rename it", other="Learn it anyway"))) is None:
            pass
        return pressed

    def _record(self, gesture: str) -> Steps[Path]:
        """Yield steps until the gesture is recorded; return the file, which has its labels beside it.

        What comes before the gesture is recorded, too, so that the model learns how a rest before it looks.
        """
        session, path = self._player.session, new_recording(gesture)
        if session is None or (recorder := session.control.record(path)) is None:
            raise LivesnnError(ENDED)
        try:
            for step in self._perform(gesture, recorder):
                over = session.control.state in OVER or session.control.lost
                if recorder.finished or self._player.session is not session or over:
                    raise LivesnnError(ENDED if recorder.error is None else error_message(recorder.error))
                yield step
            session.control.use_recorder(None)
            recorder.stop()
            yield from _written(recorder)
        except BaseException:  # abandoned or failed: nobody needs the file
            session.control.use_recorder(None)
            recorder.close()
            forget(path)
            raise
        return path

    def _perform(self, gesture: str, recorder: Recorder) -> Iterator[Step]:
        for left_s, share in self._time(READY_S):
            words = f"Stand as you do between gestures. Then perform {gesture} again and again."
            yield Step(f"Stand still: {left_s}", words, share)
        recorder.label(gesture)
        for left_s, share in self._time(PERFORMED_S):
            yield Step(gesture, f"Perform it again and again: {left_s} s left.", share)

    @staticmethod
    def _time(seconds: float) -> Iterator[tuple[int, float]]:
        """Yield the seconds left and the share gone by, until the time is over."""
        begun_s = time.monotonic()
        while (gone_s := time.monotonic() - begun_s) < seconds:
            yield ceil(seconds - gone_s), gone_s / seconds


def _renamed(changed: Renaming) -> Steps[None]:
    """Yield that a class has another name, until the person wants to use the model."""
    where = f"The model is “{Path(changed.folder).name}” in your list (Ctrl+M). It learned nothing new."
    now = f"{changed.gesture} is now called {changed.name}"
    while not (yield Step(now, where, button="Use it", cancel="Not now")):
        pass


def _shown_again(report: Report, recording: Path, better: Report | None) -> Steps[bool]:
    """Yield how well it was learned; return True to show it once more, and False to use the model as it is.

    ``better``: the lesson before, if more of that was recognised.
    """
    use, more = "Use it", "Show it again"
    buttons = (more, use) if report.poor or report.at_rest else (use, more)
    learned, *how_well = describe(report)
    where = [f"the model is “{Path(report.folder).name}” in your list (Ctrl+M), and the recording is {recording}"]
    if better is not None:
        where += [
            f"before this recording it was {100 * better.share:.0f} %: that model is “{Path(better.folder).name}”"
        ]
    step = Step(learned, sentences([*how_well, *where]), None, *buttons, cancel="Not now")
    while (pressed := (yield step)) is None:
        pass
    return (step.button if pressed else step.other) == more


def _learn(gesture: str, learning: Learning) -> Steps[Outcome]:
    """Yield steps until the gesture is learned, or found to be known; return the lesson, or as what."""
    begun_s = time.monotonic()
    with closing(learning):
        while (learned := learning.take()) is None:
            words = f"You can stop moving. {time.monotonic() - begun_s:.0f} s so far."
            yield Step(f"Learning {gesture} …", words)
    if isinstance(learned, LivesnnError):
        raise learned
    return learned


def _written(recorder: Recorder) -> Steps[None]:
    """Yield steps until a recording that was stopped is complete; raises what went wrong."""
    with closing(recorder):
        while not recorder.finished:
            yield Step("Writing …")
    if recorder.error is not None:
        raise LivesnnError(error_message(recorder.error))


NOT_TAUGHT = "This model hasn't been taught a gesture, so there is nothing to correct: teach it one (Ctrl+G)"
NOT_LIVE = "Only a live source can be corrected: livesnn teach --again --others FILE takes a recording"
NONE_NAMED = f"No taught gesture was named in the last {CORRECTED_S:g} s, so nothing was corrected"
STILL_LEARNING = "The last correction is still being learned"
PAUSE_S = 1.0  # A gesture that is named again after so long is the same error
LEAST_S = 2.0  # How much of an error is learned from, at least: traces need a second to follow


class Correcting:
    """Learns a taught gesture again, without the movement that was just taken for it; what plays goes on."""

    def __init__(self, window: WindowLayout) -> None:
        self._window, self._player = window, window.player
        self._named = ""  # the taught gesture that was named last, and when
        self._from_s = self._to_s = 0.0
        self._steps: Steps[None] | None = None  # which nobody sees

    def poll(self) -> None:
        now, label, opened = time.monotonic(), self._window.readout.rows.decision, self._player.opened
        if label is not None and opened is not None and label in opened.model.card.taught:
            if label != self._named or now - self._to_s > PAUSE_S:
                self._named, self._from_s = label, now
            self._to_s = now
        if self._steps is not None:
            try:
                next(self._steps)
            except StopIteration:
                self._steps = None
            except LivesnnError as error:
                self._steps = None
                self._window.banner.show_message(error_message(error), "error")

    def end(self) -> None:
        if self._steps is not None:
            self._steps.close()

    def begin(self) -> None:
        """Take what was named last for an error."""
        if self._steps is not None:
            self._window.banner.show_message(STILL_LEARNING, "info")
        elif why_not := self._why_not():
            self._window.banner.show_message(why_not, "info")
        else:
            named_s = time.monotonic() - self._from_s
            self._steps = self._correct(self._named, min(max(named_s + 0.5, LEAST_S), CORRECTED_S))

    def _why_not(self) -> str:
        opened = self._player.opened
        if opened is None or not opened.model.card.taught:
            return NOT_TAUGHT
        if not self._player.can_record:
            return NOT_LIVE
        known = self._named in opened.model.card.taught
        return "" if known and time.monotonic() - self._to_s < CORRECTED_S else NONE_NAMED

    def _correct(self, gesture: str, seconds: float) -> Steps[None]:
        player, banner = self._player, self._window.banner
        before, session, opened = player.model, player.session, player.opened
        known = None if opened is None else opened.model.card.lessons.get(gesture)
        files = recordings_of(model_folder(before)).get(gesture, Recordings()).there
        if not files.shown:
            raise ModelError(
                f"No recording shows {gesture}, and a correction learns from one: teach it once more here (Ctrl+G)"
            )
        path = new_recording(f"not-{gesture}")
        recorder = None if session is None else session.control.record_last(path, seconds)
        if recorder is None:
            raise LivesnnError(ENDED)
        banner.show_message(f"Learning that this wasn't {gesture} …", "info")
        try:
            yield from _written(recorder)
            files += Recordings(others=(str(path),), denoise=player.choices.denoise)
            learning = Learning(
                gesture, files.shown, before, own_folder(before, gesture), "--again", *as_flags(files)
            )
            learned = yield from _learn(gesture, learning)
            assert isinstance(learned, Report)
            said = describe_measured(learned, learned.window_s)[0]
            if learned.poor:
                shutil.rmtree(learned.folder, ignore_errors=True)
                raise ModelError(
                    f"That movement is too much like {gesture}, so {Path(before).name} wasn't changed. "
                    f"With the correction, only {said}"
                )
        except Exception:  # a window that is closed meanwhile keeps the recording
            forget(path)
            raise
        folder = Path(learned.folder)
        if player.model != before:
            banner.show_message(f"{gesture} is corrected in the model “{folder.name}” (Ctrl+M)", "info")
            return
        undo = partial(self._window.model_requested.emit, before, player.models.engine)
        self._window.model_requested.emit(learned.folder, player.models.engine)
        earlier = "" if known is None else f", and {100 * known.share:.0f} % before"
        words = f"{gesture} is corrected: {said}{earlier}. The model is “{folder.name}” now."
        banner.show_message(words, "info", ("Undo", undo))


class TeachDialog(Dialog):
    """Shows one step after another; it stands over the right column, so that a person sees the picture."""

    pressed = Signal(bool)  # the button, or the other one

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
        self.put(self.now, self.words, self.name, self.share)
        self.button = self.add_buttons("Start")
        self.button.setEnabled(False)
        self.other = dialog_button("", lambda: self.pressed.emit(False))
        self.buttons.addButton(self.other, QDialogButtonBox.ButtonRole.ActionRole)
        self.name.textChanged.connect(self._typed)
        self.setFixedWidth(max(window.readout.width() - 2, 300))
        self.move(window.readout.mapToGlobal(QPoint(window.readout.width() - self.width() - 2, 0)))

    def show_step(self, step: Step) -> None:
        self.name.setVisible(step.names)
        self.button.setText(step.button or self.button.text())
        self.button.setVisible(bool(step.button))
        self.other.setText(step.other)
        self.other.setVisible(bool(step.other))
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
        self.pressed.emit(True)

    @Slot(str)
    def _typed(self, text: str) -> None:
        self.button.setEnabled(bool(text.strip()))
