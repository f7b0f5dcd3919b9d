"""Teaching the model in use: counting down, recording, learning, using it. Not here: the dialog, how one learns."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator
from datetime import datetime
from math import ceil
from typing import NamedTuple

from livesnn.app.actions import Actions
from livesnn.app.layout import WindowLayout
from livesnn.app.playing.faults import in_words
from livesnn.app.playing.learning import Learning
from livesnn.app.playing.player import Player
from livesnn.app.recorder import proposed_name
from livesnn.app.teach_dialog import TeachDialog
from livesnn.errors import LivesnnError
from livesnn.events.tape import Tape
from livesnn.infer import Engine
from livesnn.paths import own_models_dir
from livesnn.report import describe_lesson
from livesnn.teach import Lesson, check_gesture
from livesnn.teach.features import check_teachable
from livesnn.teach.known import DATASET
from livesnn.teach.taught import own_folder

READY_S, PERFORMED_S = 3.0, 10.0
LESSONS = "lessons"
"""The folder beside the models that were taught, with what they were taught by: to teach other models with."""
HOW = "Show the model a gesture of your own"
LIVE_ALONE = "A gesture is taught live: open a camera or a stream; by recordings with livesnn teach"
ENDED = "The source has ended before the gesture was recorded: open it again, and start again"
NOT_THIS = "This model can't be taught here, gestures can (Ctrl+M); others with livesnn teach --others"


class Step(NamedTuple):
    """What is to be done now, how much of it has been (None: nobody knows), and more in small words."""

    now: str
    share: float | None
    words: str = ""


Lessons = Generator[Step, None, None]


def in_sentences(lesson: Lesson) -> str:
    """Return what was learned as a person reads it: a line a clause."""
    return "\n".join(f"{clause[:1].upper()}{clause[1:]}." for clause in describe_lesson(lesson))


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
        self._steps: Lessons | None = None
        self._lesson: Lesson | None = None

    def slots(self) -> dict[str, Callable[[], None]]:
        """Return what to do for the action that is here."""
        return {"teach": self.ask}

    def ask(self) -> None:
        """Ask what to teach."""
        self._dialog = dialog = TeachDialog(PERFORMED_S, self._window)
        dialog.begun.connect(self._begin)
        dialog.accepted.connect(self._use_learned)
        dialog.finished.connect(self.end)
        self._window.show_dialog(dialog)

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
            if self._lesson is not None:
                self._dialog.show_learned(f"{self._lesson.gesture} is learned", in_sentences(self._lesson))
        except LivesnnError as error:
            self._steps = None
            self._dialog.show_failed(in_words(error))

    def _why_not(self) -> str:
        """Return why no gesture can be taught now; "" where one can."""
        opened = self._player.opened
        if not self._player.can_record or self._player.tape is not None or opened is None:
            return LIVE_ALONE
        card = opened.model.card
        try:
            check_teachable(card)
        except LivesnnError:
            return NOT_THIS
        return "" if card.dataset == DATASET else NOT_THIS

    def _begin(self, gesture: str) -> None:
        self._leave()
        self._steps = self._give(gesture)

    def _leave(self) -> None:
        steps, self._steps, self._lesson = self._steps, None, None
        if steps is not None:
            steps.close()  # what it has begun ends

    def _use_learned(self) -> None:
        if self._lesson is not None:
            self._use(self._lesson.folder, self._player.engine)

    def _give(self, gesture: str) -> Lessons:
        """Yield what is to be done now, again and again, until it is learned; raises LivesnnError if it isn't."""
        model, opened = self._player.model, self._player.opened
        if opened is not None:
            check_gesture(gesture, opened.model.card)
        for left_s, share in self._time(READY_S):
            yield Step(f"Get ready: {left_s}", share, f"Then perform {gesture} again and again.")
        tape = yield from self._record(gesture)
        learning = Learning(gesture, tape.path, model, own_folder(model, gesture))
        try:
            while (learned := learning.take()) is None:
                yield Step(f"Learning {gesture} …", None, "Half a minute the first time. Do as you like meanwhile.")
        finally:
            learning.close()
        if isinstance(learned, LivesnnError):
            raise learned
        self._lesson = learned

    def _record(self, gesture: str) -> Generator[Step, None, Tape]:
        """Yield steps until the gesture is recorded; return its tape, on which the label says where it is."""
        folder = own_models_dir() / LESSONS
        folder.mkdir(parents=True, exist_ok=True)
        self._player.record(folder / proposed_name(gesture, datetime.now()))
        if (tape := self._player.tape) is None:
            raise LivesnnError(LIVE_ALONE)
        tape.label(gesture)
        try:
            for left_s, share in self._time(PERFORMED_S):
                if tape.finished or self._player.tape is not tape:
                    raise LivesnnError(in_words(tape.error) if tape.error else ENDED)
                yield Step(gesture, share, f"Perform it again and again: {left_s} s more.")
        finally:
            if self._player.tape is tape:
                self._player.stop_recording()
        while not tape.finished:
            yield Step("Writing …", None)
        if tape.error is not None:
            raise LivesnnError(in_words(tape.error))
        return tape

    def _time(self, seconds: float) -> Iterator[tuple[int, float]]:
        """Yield the seconds that are left, and the share that has gone by, until it is all of them."""
        begun_s = self._clock()
        while (gone_s := self._clock() - begun_s) < seconds:
            yield ceil(seconds - gone_s), gone_s / seconds
