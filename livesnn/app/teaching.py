"""Teaching the model in use: counting down, recording, learning, using it. Not here: the dialog, how one learns."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator
from datetime import datetime
from math import ceil
from pathlib import Path
from typing import NamedTuple

from livesnn.app.actions import Actions
from livesnn.app.layout import WindowLayout
from livesnn.app.player import Player
from livesnn.app.recorder import proposed_name
from livesnn.app.teach_dialog import TeachDialog
from livesnn.errors import LivesnnError, SourceError
from livesnn.events.labels import labels_file
from livesnn.infer.model import Engine
from livesnn.paths import own_models_dir
from livesnn.session.learning import Learning
from livesnn.session.session import in_words
from livesnn.teach import SIMULATED, Lesson, check_lesson, check_teachable, describe_lesson, own_folder

READY_S, PERFORMED_S = 3.0, 10.0
OVER = ("ended", "failed")
LESSONS = "lessons"
"""The folder beside the models that were taught, with what they were taught by: to teach other models with."""
HOW = "Show the model a gesture of your own"
LIVE_ALONE = "A gesture is taught live: open a camera or a stream; by recordings with livesnn teach"
RECORDING = "Stop recording first"
ENDED = "The source has ended before the gesture was recorded: open it again, and start again"
LOST = "Nothing comes from the source: a gesture is taught once it is back"
LOST_SINCE = "The source was lost before the gesture was recorded: start again once it is back"
NOT_THIS = "This model is taught with livesnn teach --others; gestures can be taught here (Ctrl+M)"


class Step(NamedTuple):
    """What is to be done now, how much of it has been (None: nobody knows), and more in small words."""

    now: str
    share: float | None
    words: str = ""


Steps = Generator[Step, None, None]


def in_sentences(lesson: Lesson, recording: Path) -> str:
    """Return how well something was learned as a person reads it: a line a clause, and where all of it is."""
    where = f"it is “{Path(lesson.folder).name}” among your models (Ctrl+M), what was recorded is {recording}"
    clauses = [*describe_lesson(lesson)[1:], where]
    return "\n".join(f"{clause[:1].upper()}{clause[1:]}." for clause in clauses)


class Teaching:
    """Gives lessons when a person wants to.

    Parameters
    ----------
    window
        Where a person is asked, and told what to do.
    player
        Plays what is recorded, with the model that is taught.
    use
        Plays with another model and engine from now on.
    clock
        Monotonic seconds.
    """

    def __init__(
        self,
        window: WindowLayout,
        player: Player,
        use: Callable[[str, Engine], None],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._window = window
        self._player = player
        self._use = use
        self._clock = clock
        self._dialog: TeachDialog | None = None
        self._steps: Steps | None = None
        self._learned: tuple[Lesson, Path] | None = None  # from this recording

    def slots(self) -> dict[str, Callable[[], None]]:
        """Return what to do for the action that is here."""
        return {"teach": self.ask}

    def ask(self) -> None:
        """Ask what to teach."""
        dialog = TeachDialog(PERFORMED_S, self._window)
        dialog.begun.connect(self._begin)
        dialog.accepted.connect(self._use_learned)
        dialog.finished.connect(self.end)
        self._window.show_dialog(dialog)  # which closes another first
        self._dialog = dialog

    def end(self) -> None:
        """Give up the lesson, if there is one."""
        self._dialog = None
        self._leave()

    def poll(self, actions: Actions) -> None:
        """Go on with the lesson; show whether one can be given."""
        why_not = self._why_not()
        actions["teach"].setEnabled(not why_not)
        actions["teach"].setToolTip(why_not or HOW)
        if self._steps is None or self._dialog is None:
            return
        try:
            self._dialog.show_step(*next(self._steps))
        except StopIteration:
            self._steps = None
            if self._learned is not None:
                self._show_learned(self._dialog, *self._learned)
        except LivesnnError as error:
            self._steps = None
            self._dialog.show_failed(in_words(error))

    @staticmethod
    def _show_learned(dialog: TeachDialog, lesson: Lesson, recording: Path) -> None:
        dialog.show_learned(describe_lesson(lesson)[0], in_sentences(lesson, recording))

    def _why_not(self) -> str:
        """Return why no gesture can be taught now; "" where one can."""
        opened = self._player.opened
        if self._player.tape is not None:
            return RECORDING
        if not self._player.can_record or opened is None:
            return LIVE_ALONE
        if self._player.session is not None and self._player.session.control.lost:
            return LOST
        card = opened.model.card
        try:
            check_teachable(card)
        except LivesnnError as error:
            return str(error)
        return "" if card.dataset == SIMULATED else NOT_THIS

    def _begin(self, gesture: str) -> None:
        self._leave()
        self._steps = self._give(gesture)

    def _leave(self) -> None:
        steps, self._steps, self._learned = self._steps, None, None
        if steps is not None:
            steps.close()  # what it has begun ends

    def _use_learned(self) -> None:
        if self._learned is not None:
            self._use(self._learned[0].folder, self._player.engine)

    def _give(self, gesture: str) -> Steps:
        """Yield what is to be done now, again and again, until it is learned; raises LivesnnError if it isn't."""
        model, denoise = self._player.model, self._player.choices.denoise
        check_lesson(gesture, model)
        for left_s, share in self._time(READY_S):
            yield Step(f"Get ready: {left_s}", share, f"Then perform {gesture} again and again.")
        recording = yield from self._record(gesture)
        try:
            learning = Learning(gesture, recording, model, own_folder(model, gesture), denoise=denoise)
            self._learned = (yield from self._learn(gesture, learning)), recording
        except BaseException:
            _forget(recording)
            raise

    @staticmethod
    def _learn(gesture: str, learning: Learning) -> Generator[Step, None, Lesson]:
        """Yield steps until the gesture is learned; return the lesson."""
        try:
            while (learned := learning.take()) is None:
                yield Step(
                    f"Learning {gesture} …",
                    None,
                    "Less than a minute the first time. Do as you like meanwhile.",
                )
        finally:
            learning.close()
        if isinstance(learned, LivesnnError):
            raise learned
        return learned

    def _record(self, gesture: str) -> Generator[Step, None, Path]:
        """Yield steps until the gesture is recorded; return its file, beside which the label says where it is."""
        session, path = self._player.session, _new_file(gesture)
        if session is None or (tape := session.control.record(path)) is None:
            raise LivesnnError(ENDED)
        try:
            tape.label(gesture)
            for left_s, share in self._time(PERFORMED_S):
                if tape.finished or self._player.session is not session or session.control.state in OVER:
                    raise LivesnnError(ENDED if tape.error is None else in_words(tape.error))
                if session.control.lost:
                    raise LivesnnError(LOST_SINCE)
                yield Step(gesture, share, f"Perform it again and again: {left_s} s more.")
            session.control.use_recorder(None)
            tape.stop()
            while not tape.finished:
                yield Step("Writing …", None)
            if tape.error is not None:
                raise LivesnnError(in_words(tape.error))
        except BaseException:  # given up, or failed, here as below: nobody asked for the file
            session.control.use_recorder(None)
            tape.close()
            _forget(path)
            raise
        return path

    def _time(self, seconds: float) -> Iterator[tuple[int, float]]:
        """Yield the seconds that are left, and the share that has gone by, until it is all of them."""
        begun_s = self._clock()
        while (gone_s := self._clock() - begun_s) < seconds:
            yield ceil(seconds - gone_s), gone_s / seconds


def _forget(recording: Path) -> None:
    """Delete a recording and its labels."""
    for file in (recording, labels_file(recording)):
        file.unlink(missing_ok=True)


def _new_file(gesture: str) -> Path:
    """Return where a lesson is recorded."""
    folder = own_models_dir() / LESSONS
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SourceError(
            f"{folder}: can't be made ({error.strerror}): set LIVESNN_MODELS to another"
        ) from error
    return folder / proposed_name(gesture, datetime.now())
