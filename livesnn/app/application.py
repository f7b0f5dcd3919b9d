"""Starts the application and runs it until its window closes."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, Literal, cast

from livesnn.app.demo import DEMO, demo_of, model_for
from livesnn.app.screen import check_screen
from livesnn.app.settings import SettingsFile, user_settings
from livesnn.errors import LivesnnError
from livesnn.events.cameras.sensitivity import SensorSettings
from livesnn.events.filters import Orientation
from livesnn.events.recorder import LONGEST_PRE_ROLL_S
from livesnn.infer.load import Engine, read_card
from livesnn.session.camera_settings import CameraFiles
from livesnn.session.comparison import Second
from livesnn.signals import usual_handlers

if TYPE_CHECKING:
    from PySide6.QtWidgets import QApplication

    from livesnn.app.main_window import MainWindow
    from livesnn.app.player import Summary

QUIT_AFTER = "LIVESNN_QUIT_AFTER"
"""Environment variable: seconds after which the window closes, or "first-frame"."""

LONGEST_S = 86_400
FIRST_FRAME: Final = "first-frame"
OF_CLASSES = ("thresholds", "allow", "deny")  # fields of a Decider


def run_app(
    source: str | None,
    model: str | None = None,
    *,
    engine: Engine | None = None,
    decisions: Mapping[str, Any] | None = None,
    pre_roll_s: float | None = None,
    orientation: Orientation | None = None,
    sensor: SensorSettings | None = None,
    beside: Sequence[str] = (),
    compare: str | None = None,
    stage: bool = False,
    kiosk: bool = False,
) -> Summary:
    """Show the window until it is closed; return what it did.

    What is None is as it was last chosen in the window, or is remembered for a camera; without a source the demo
    plays. ``decisions`` are fields of a `Decider` until the window closes; those that name classes are for the first
    model. ``beside`` are sources in tabs of their own.
    Raises LivesnnError if there is no screen, if `QUIT_AFTER`, ``pre_roll_s`` or ``decisions`` are impossible, or,
    after the window has been closed, if nothing was ever shown because the source or the model failed.
    """
    quit_after = _quit_after()
    if not 0 <= (pre_roll_s or 0.0) <= LONGEST_PRE_ROLL_S:
        raise LivesnnError(f"the pre-roll can't be {pre_roll_s:g} s: give 0 to {LONGEST_PRE_ROLL_S:g} seconds")
    if compare is not None:
        read_card(compare)
    settings = user_settings()
    # An impossible one is found before the window is made.
    settings.now.choices.decider.merge(decisions or {})
    check_screen()
    from livesnn.app.main_window import MainWindow  # not before: without Qt's libraries it can't be imported

    application = make_application(settings)
    window = MainWindow(model, engine=engine, settings=settings)
    window.player.camera_files = CameraFiles(settings.folder, sensor)
    if pre_roll_s is not None:
        window.player.apply(replace(window.player.choices, pre_roll_s=pre_roll_s))
    if source is None:
        source = DEMO if model is None else demo_of(model)
    shown_model = None if source is None else _model_for(source, model, window)
    _decide(window, decisions or {}, shown_model)
    if compare is not None:
        window.comparing.use(Second(compare, engine or "auto"))
    with _closed_by_signals(application):
        window.show()
        if source is not None:
            window.open(source, shown_model, orientation)
            _open_beside(window, beside, model, orientation)
        elif model is not None:
            window.view.show_words(
                "Open a video or a webcam", f"{model} reads videos, and livesnn includes none.", ways=True
            )
        if stage or kiosk:
            window.presenting.enter(kiosk=kiosk)
        _close_after(window, quit_after)
        application.exec()
    whole = window.tabs or window
    whole.close()
    summary = whole.summary()
    if not summary["frames_shown"] and window.player.last_error is not None:
        raise LivesnnError(window.player.last_error)
    return summary


def make_application(settings: SettingsFile) -> QApplication:
    from PySide6.QtWidgets import QApplication

    from livesnn.app import style

    # The pipeline's thread keeps the interpreter busy. At 20 Mev/s on two cores, the window showed 17 pictures a
    # second and was blocked for 90 ms with Python's 5 ms; with 1 ms it was 50 pictures and 18 ms. The pipeline also
    # waits for the other threads after each step: of 350,000 ev/s it decided on 277,000 with 1 ms, on 340,000 with
    # 0.2 ms (medians of 4).
    sys.setswitchinterval(0.0002)
    # Not the whole command line: Qt aborts on names that aren't UTF-8.
    application = cast(QApplication, QApplication.instance() or QApplication([sys.argv[0]]))
    application.setApplicationName("livesnn")
    application.setDesktopFileName("livesnn")  # whose icon the desktop shows
    style.use(settings.now.theme, application)
    return application


def _model_for(source: str, model: str | None, window: MainWindow) -> str | None:
    return None if model else model_for(source, window.player.models.chosen_name)


def _decide(window: MainWindow, decisions: Mapping[str, Any], model: str | None) -> None:
    player = window.player
    card = read_card(model or player.model) if any(name in decisions for name in OF_CLASSES) else None
    choices = player.choices
    decider = (choices.decider if card is None else choices.decider_of(card)).merge(decisions)
    if card is not None:
        decider.check(card)
    player.apply(choices.with_decider(decider, card))


def _open_beside(
    window: MainWindow, sources: Sequence[str], model: str | None, orientation: Orientation | None
) -> None:
    for source in sources:
        other = window.new_tab()
        other.player.apply(window.player.choices)
        other.player.camera_files = window.player.camera_files
        other.open(source, _model_for(source, model, window), orientation)
    if window.tabs is not None:
        window.tabs.bar.setCurrentIndex(0)


@contextmanager
def _closed_by_signals(application: QApplication) -> Iterator[None]:
    """Let Ctrl-C and other signals close every window; a window's timer lets Python notice them."""
    from PySide6.QtCore import QTimer

    handlers = usual_handlers()
    for number in handlers:  # through the event loop, which may not have begun
        signal.signal(number, lambda *_: QTimer.singleShot(0, application, application.closeAllWindows))
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def _close_after(window: MainWindow, quit_after: float | Literal["first-frame"] | None) -> None:
    from PySide6.QtCore import QTimer
    from PySide6.QtWidgets import QApplication

    if quit_after == FIRST_FRAME:

        def look() -> None:
            failed = window.session is not None and window.session.error is not None
            if window.view.shown or failed:
                QApplication.closeAllWindows()

        watch = QTimer(window)
        watch.timeout.connect(look)
        watch.start(5)
    elif quit_after is not None:
        QTimer.singleShot(round(1000 * quit_after), QApplication.closeAllWindows)


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
