"""A monkey at the window: python tests/gui/monkey.py MODEL_FOLDER RECORDING ACTIONS SEED.

Does so many random things, by the actions, keys and the mouse. Prints {done, by_kind, blocked_ms, worked_ms, threads,
shown} as JSON. Of each thing: for how long the window didn't come back to its event loop, and how much the GUI thread
computed in all until the next thing; in two lists, "large" where it opened another source or a dialog or put on a
theme, and "small". The process must end with 0: an exception in a slot ends it with 1, a crash with a signal.
"""

from __future__ import annotations

import json
import os
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")  # before Qt is imported

from PySide6.QtCore import QEventLoop, QObject, QPoint, Qt, QTimer, QUrl, Slot
from PySide6.QtGui import QDesktopServices
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QWidget

from livesnn.app import style
from livesnn.app.main_window import MainWindow
from livesnn.app.settings import SettingsFile
from livesnn.app.widgets.plots import LOOKS, PlotPanel
from livesnn.session.comparison import Second
from tests.synthetic import livesnn_threads

PAUSE_MS = 15  # between two things
MOST_TABS = 3
_OPENING = (
    "open",
    "camera",
    "stream",
    "demo",
    "webcam",
    "recording",
    "save_picture",
    "film",
    "table",
    "stretch",
    "model",
    "decisions",
    "act",
    "compare",
    "about",
)  # rarer than the others
_KEYS = (
    Qt.Key.Key_Space,
    Qt.Key.Key_Left,
    Qt.Key.Key_Right,
    Qt.Key.Key_Tab,
    Qt.Key.Key_Escape,
    Qt.Key.Key_Return,
    Qt.Key.Key_Home,
    Qt.Key.Key_End,
    Qt.Key.Key_Plus,
    Qt.Key.Key_R,
)


def choose_plots(panel: PlotPanel, names: Sequence[str]) -> None:
    """Choose these plots in the panel's menu, as a person does."""
    for name, action in zip(LOOKS, panel.menu.actions(), strict=True):
        action.setChecked(name in names)


class Watchdog(QTimer):
    """Measures the longest time for which the event loop didn't come back to it."""

    TICK_MS = 5

    def __init__(self) -> None:
        super().__init__(timerType=Qt.TimerType.PreciseTimer)
        self.longest_ms, self._ticked_s = 0.0, time.perf_counter()
        self.timeout.connect(self.tick)
        self.start(self.TICK_MS)

    def tick(self) -> None:
        """Look how long it was since the last tick."""
        now_s = time.perf_counter()
        self.longest_ms = max(self.longest_ms, 1000 * (now_s - self._ticked_s) - self.TICK_MS)
        self._ticked_s = now_s


class Browser(QObject):
    """Keeps the addresses that are opened, in place of the system's browser."""

    def __init__(self) -> None:
        super().__init__()
        self.opened: list[str] = []

    @Slot(QUrl)
    def show_page(self, address: QUrl) -> None:
        """Keep an address."""
        self.opened.append(address.toString())


class Monkey:
    """Does one random thing at a time."""

    def __init__(self, window: MainWindow, recording: str, seed: int) -> None:
        self._first = window
        self.recording = recording
        self.random = random.Random(seed)
        self.by_kind: Counter[str] = Counter()
        self.themes = 0  # put on so far
        self._folder = TemporaryDirectory()
        self._names = [
            entry.name for entry in window.commands.entries if entry.name not in ("quit", "close_tab", *_OPENING)
        ]

    @property
    def window(self) -> MainWindow:
        """The window, or the one of several whose tab is shown."""
        shown = None if self._first.tabs is None else self._first.tabs.current
        assert isinstance(shown, MainWindow | None)
        return shown or self._first

    def act(self) -> None:
        """Do something."""
        kind = self.random.choices(
            ("action", "key", "mouse", "wheel", "dialog", "open", "resize", "tab", "compare", "plots"),
            (40, 20, 20, 5, 8, 4, 3, 2, 2, 10),
        )[0]
        self.by_kind[kind] += 1
        getattr(self, f"_{kind}")()

    def opened(self) -> tuple[object, ...]:
        """Return what is another one after something large."""
        second = self.window.player.second
        return self.window, self.window.session, self.window.dialog, second, self.themes

    def _action(self) -> None:
        name = self.random.choice(_OPENING if self.random.random() < 0.1 else self._names)
        if name == "new_tab" and self._tabs() == MOST_TABS:
            return
        self.themes += name.startswith("theme:")
        self.window.commands[name].trigger()

    def _key(self) -> None:
        key = self.random.choice(_KEYS)
        if key == Qt.Key.Key_Return and self.window.dialog is not None:
            key = Qt.Key.Key_Escape  # a monkey has no file or address to give
        QTest.keyClick(QApplication.focusWidget() or self.window, key)

    def _mouse(self) -> None:
        place = QPoint(self.random.randrange(self.window.width()), self.random.randrange(60, self.window.height()))
        widget: QWidget = self.window.childAt(place) or self.window
        inside = widget.mapFrom(self.window, place)
        press = self.random.choice((QTest.mouseClick, QTest.mouseDClick, QTest.mousePress, QTest.mouseRelease))
        press(widget, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, inside)

    def _wheel(self) -> None:
        self.window.view.canvas.zoom_about(self.random.choice((0.5, 0.8, 1.25, 2.0)))

    def _plots(self) -> None:
        """Zoom or move a plot, read it, choose plots, float them, dock them elsewhere, or save one."""
        dock = self.window.plots
        panel = dock.panel
        if panel is None or not panel.plots:  # of a new tab
            return
        plot = self.random.choice(list(panel.plots.values()))
        viewport = plot.widget.viewport()
        place = QPoint(
            self.random.randrange(max(viewport.width(), 1)), self.random.randrange(max(viewport.height(), 1))
        )
        areas = Qt.DockWidgetArea
        button, plain = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
        things: tuple[Callable[[], object], ...] = (
            lambda: QTest.mouseMove(viewport, place),
            lambda: QTest.mousePress(viewport, button, plain, place),
            lambda: QTest.mouseRelease(viewport, button, plain, place),
            lambda: QTest.mouseDClick(viewport, button, plain, place),
            lambda: plot.view.scaleBy(x=self.random.choice((0.5, 0.8, 1.25, 2.0))),
            lambda: panel.span.setCurrentIndex(self.random.randrange(panel.span.count())),
            lambda: choose_plots(panel, self.random.sample(list(LOOKS), self.random.randrange(len(LOOKS) + 1))),
            lambda: dock.setFloating(not dock.isFloating()),
            lambda: self.window.addDockWidget(
                self.random.choice((areas.BottomDockWidgetArea, areas.RightDockWidgetArea)), dock
            ),
            lambda: dock.save(
                next(name for name, each in panel.plots.items() if each is plot),
                Path(self._folder.name, f"plot{self.random.choice(('.png', '.csv'))}"),
            ),
        )
        self.random.choice(things)()

    def _dialog(self) -> None:
        if self.window.dialog is not None:
            self.window.dialog.reject()

    def _open(self) -> None:
        self.window.open(self.random.choice((self.recording, "missing.aedat4")))

    def _resize(self) -> None:
        self.window.window().resize(self.random.randrange(800, 1300), self.random.randrange(520, 900))

    def _tab(self) -> None:
        if self._tabs() > 1 and self.random.random() < 0.5:
            self.window.close()
        elif self._tabs() < MOST_TABS:
            self.window.new_tab().open(self.recording)

    def _tabs(self) -> int:
        return 1 if self._first.tabs is None else len(self._first.tabs.pages)

    def _compare(self) -> None:
        second = self.random.choice((None, Second(self.window.player.model, state_mode="reset")))
        self.window.comparing.use(second)


def close_popups() -> None:
    """Close menus: a click on a button with a menu waits for it."""
    while (popup := QApplication.activePopupWidget()) is not None:
        popup.close()


def main(model: str, recording: str, actions: int, seed: int) -> dict[str, object]:
    """Do so many things, and return what was measured."""
    failures: list[str] = []

    def fail(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        failures.append(f"{kind.__name__}: {error}")
        sys.__excepthook__(kind, error, trace)

    sys.excepthook = fail  # PySide6 prints what a slot raises, and goes on
    application = QApplication([])
    browser = Browser()
    QDesktopServices.setUrlHandler("https", browser, "show_page")
    style.use("dark", application)
    window = MainWindow(model, settings=SettingsFile())
    window.show()
    window.open(recording)
    window.commands["plots"].trigger()
    while window.plots.panel is None or len(window.plots.panel.plots) < len(LOOKS):  # made once
        application.processEvents()
        if window.plots.panel is not None:
            choose_plots(window.plots.panel, list(LOOKS))
    monkey = Monkey(window, recording, seed)
    blocked_ms: dict[str, list[float]] = {"large": [], "small": []}
    worked_ms: dict[str, list[float]] = {"large": [], "small": []}
    popups = QTimer(application)
    popups.timeout.connect(close_popups)
    popups.start(20)
    loop = QEventLoop()
    for _ in range(actions):
        before, watchdog, begun_s = monkey.opened(), Watchdog(), time.thread_time()
        monkey.act()
        QTimer.singleShot(PAUSE_MS, loop.quit)
        loop.exec()
        watchdog.tick()
        size = "small" if monkey.opened() == before else "large"
        blocked_ms[size].append(watchdog.longest_ms)
        worked_ms[size].append(1000 * (time.thread_time() - begun_s))
        if failures:
            break
    whole = window.tabs or window
    whole.close()
    if failures:
        raise SystemExit(1)
    return {
        "done": sum(monkey.by_kind.values()),
        "by_kind": monkey.by_kind,
        "blocked_ms": blocked_ms,
        "worked_ms": worked_ms,
        "threads": livesnn_threads(),
        "shown": whole.summary()["frames_shown"],
    }


if __name__ == "__main__":
    model_, recording_, actions_, seed_ = sys.argv[1:]
    print(json.dumps(main(model_, recording_, int(actions_), int(seed_))))  # noqa: T201
