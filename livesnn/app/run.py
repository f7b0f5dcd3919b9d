"""run_app: the application from its first window to its last. Not here: what is in the window."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, cast

from livesnn.app.player import demo, own_model
from livesnn.app.screen import check_screen
from livesnn.app.settings import Settings, WantedDecisions, user_settings
from livesnn.errors import LivesnnError
from livesnn.events import recorder as preroll
from livesnn.events.filters import Orientation
from livesnn.infer.model import Engine
from livesnn.threads import usual_handlers

if TYPE_CHECKING:
    from PySide6.QtWidgets import QApplication

    from livesnn.app.main_window import MainWindow
    from livesnn.app.player import Summary

QUIT_AFTER = "LIVESNN_QUIT_AFTER"
LONGEST_S = 86_400
FIRST_FRAME: Final = "first-frame"


def run_app(
    source: str | None,
    model: str | None = None,
    *,
    engine: Engine | None = None,
    decisions: WantedDecisions = WantedDecisions(),  # noqa: B008 (frozen)
    pre_roll_s: float | None = None,
    orientation: Orientation | None = None,
) -> Summary:
    """Show the window until it is closed; return what it did.

    Parameters
    ----------
    source
        What to play; None: the demo, if there is one of what the model knows.
    model
        Name of a shipped model, or a model folder; None: the demo's, or the one chosen last in the window.
    engine
        What runs the network; None: what was chosen last.
    decisions
        When a decision is made, and of which classes of the first model.
    pre_roll_s
        How much of what came before a recording's start is in it; None: what was chosen last.
    orientation
        What makes the source upright, until another is opened; None: as is remembered of a camera.

    Raises
    ------
    LivesnnError
        There is no screen; or nothing was ever shown, because the source or the model failed (after the window
        has been closed); or the environment's LIVESNN_QUIT_AFTER, after which the window closes, is neither a
        number of seconds nor "first-frame"; or such a pre-roll can't be kept; or ``decisions`` can't be made.
    """
    quit_after = _quit_after()
    _check_pre_roll(pre_roll_s or 0.0)
    settings = user_settings()
    decisions.decider(settings.now.decider)
    check_screen()
    from livesnn.app import watchdog  # not before: without Qt's libraries it can't be imported
    from livesnn.app.main_window import MainWindow

    application = make_application(settings)
    window = MainWindow(model, engine=engine, settings=settings)
    if pre_roll_s is not None:
        window.recorder.use_pre_roll(pre_roll_s)
    shown = _shown_first(source, model)
    _decide(window, decisions, shown.model)
    with _closed_by_signals(window):
        window.show()
        if shown.source is not None:
            window.open(shown.source, shown.model, orientation)
        elif model is not None:
            window.view.show_words(
                "Open a video", f"{model} sees videos, and there is none to show.", ways=True
            )
        _close_after(window, quit_after)
        watch = watchdog.Watchdog(window) if os.environ.get(watchdog.ENVIRONMENT) else None
        application.exec()
    window.close()
    if not window.view.shown and window.player.last_error is not None:
        raise LivesnnError(window.player.last_error)
    summary = window.summary()
    if watch is not None:
        summary["gui_blocked_ms_max"] = watch.blocked_ms_max
    return summary


def _check_pre_roll(seconds: float) -> None:
    if not 0 <= seconds <= preroll.LONGEST_S:
        raise LivesnnError(
            f"a pre-roll of {seconds:g} s can't be kept: give seconds from 0 to {preroll.LONGEST_S:g}"
        )


def make_application(settings: Settings) -> QApplication:
    """Return Qt's application, set up, in the theme that was chosen."""
    from PySide6.QtWidgets import QApplication

    from livesnn.app.look import style

    # The pipeline's thread keeps the interpreter busy. Measured with 20 Mev/s, two cores: 17 pictures a second and
    # 90 ms without the window at Python's 5 ms, 50 and 18 ms at 1 ms. And it waits for the others after each step:
    # of 350,000 ev/s 277,000 were decided at 1 ms, 340,000 at 0.2 (medians of 4, livesnn bench sustained).
    sys.setswitchinterval(0.0002)
    # Not the whole command line: Qt dies of names that aren't UTF-8.
    application = cast(QApplication, QApplication.instance() or QApplication([sys.argv[0]]))
    application.setApplicationName("livesnn")
    style.use(settings.now.theme, application)
    return application


class _Shown(NamedTuple):
    """What the window shows first, with this model alone; None: nothing, with the chosen one."""

    source: str | None
    model: str | None


def _shown_first(source: str | None, model: str | None) -> _Shown:
    if source is not None:
        return _Shown(source, None if model else own_model(source))
    return _Shown(*(demo(model) or (None, None)))


def _decide(window: MainWindow, decisions: WantedDecisions, model: str | None) -> None:
    from livesnn.infer.model import read_card

    card = read_card(model or window.player.model) if decisions.of_classes else None
    choices = window.player.choices
    decider = decisions.decider(choices.decider if card is None else choices.decider_of(card))
    if card is not None:
        decider.check(card)
    window.deciding.use(decider, card)


@contextmanager
def _closed_by_signals(window: MainWindow) -> Iterator[None]:
    """Let Ctrl-C and its like close the window; the window's timer gives Python the time to notice."""
    from PySide6.QtCore import QTimer

    handlers = usual_handlers()
    for number in handlers:  # by the event loop, which may not have begun
        signal.signal(number, lambda *_: QTimer.singleShot(0, window, window.close))
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def _close_after(window: MainWindow, quit_after: float | Literal["first-frame"] | None) -> None:
    from PySide6.QtCore import QTimer

    if quit_after == FIRST_FRAME:

        def look() -> None:
            failed = window.session is not None and window.session.error is not None
            if window.view.shown or failed:
                window.close()

        watch = QTimer(window)
        watch.timeout.connect(look)
        watch.start(5)
    elif quit_after is not None:
        QTimer.singleShot(round(1000 * quit_after), window, window.close)


def _quit_after() -> float | Literal["first-frame"] | None:
    text = os.environ.get(QUIT_AFTER, "")
    if not text or text == FIRST_FRAME:
        return FIRST_FRAME if text else None
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= LONGEST_S:
        raise LivesnnError(
            f"{QUIT_AFTER}={text!r} in the environment: give seconds from 0 to {LONGEST_S}, or {FIRST_FRAME!r}"
        )
    return seconds
