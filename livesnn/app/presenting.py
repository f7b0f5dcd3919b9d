"""When the stage is shown and left, what it says, and the kiosk, which starts its source again after an error."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import cast

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QDockWidget, QStackedWidget, QWidget

from livesnn.app import style
from livesnn.app.player import Player
from livesnn.app.session_display import READ_S, WindowLayout
from livesnn.app.widgets.readout import NO_EVENTS, ago
from livesnn.app.widgets.stage import Said, Stage
from livesnn.session.event_picture import DEFAULT_PALETTE, PALETTES
from livesnn.session.session import Session

LIGHT_PALETTE = "white background"
"""On the stage in place of the usual palette, in the light theme."""

RESTART_S, MOST_RESTART_S = 2.0, 60.0
"""From an error to the first restart of a kiosk's source; twice as long after each that fails."""

STEADY_S = 10.0
"""A source that has played for so long works again."""

RESTARTING = "Starting again …"


class Presenting:
    """Shows the stage in place of the window's parts, and leaves it again.

    Parameters
    ----------
    window
        Gets its parts as one page, and the stage as another.
    begin
        Called when the player has another session.
    show_palette
        Gives the window's parts the palette of this name.
    """

    def __init__(
        self,
        window: WindowLayout,
        player: Player,
        begin: Callable[[], None],
        show_palette: Callable[[str], None],
    ) -> None:
        self._window, self._player, self._begin, self._show_palette = window, player, begin, show_palette
        self.stage = Stage()
        self.stage.leave_requested.connect(self.leave)
        self._pages = QStackedWidget()
        self._pages.addWidget(cast(QWidget, window.takeCentralWidget()))
        self._pages.addWidget(self.stage)
        window.setCentralWidget(self._pages)
        window.view.setFocus()  # which it has lost by moving
        self._state_before = Qt.WindowState.WindowNoState
        self._docks: list[QDockWidget] = []  # that are shown again
        self._loop_before = False  # of a kiosk
        self._palette_before: str | None = None  # None: the stage has the window's
        self._read_at_s = 0.0
        self._restart_at_s: float | None = None
        self._restart_in_s = RESTART_S
        self._playing_since_s: float | None = None

    @property
    def on(self) -> bool:
        """Whether the stage is shown."""
        return self._pages.currentWidget() is self.stage

    @property
    def locked(self) -> bool:
        """Whether it is a kiosk, which isn't left by closing the window."""
        return self.on and self.stage.kiosk

    def toggle(self) -> None:
        """Show the stage, or leave it."""
        if self.on:
            self.leave()
        else:
            self.enter()

    def enter(self, *, kiosk: bool = False) -> None:
        """Show the stage over the whole screen."""
        window, player = self._window, self._player
        if self.on:
            return
        if window.dialog is not None:
            window.dialog.close()
        self._docks = [dock for dock in window.findChildren(QDockWidget) if dock.isVisible()]
        for dock in self._docks:
            dock.hide()
        window.menuBar().hide()
        window.setAcceptDrops(not kiosk)
        self._loop_before = player.choices.loop
        if kiosk:
            player.apply(replace(player.choices, loop=True))
        self._use_light_palette()
        self._pages.setCurrentWidget(self.stage)
        self.stage.begin(window.view.canvas, PALETTES[player.choices.view.palette], kiosk=kiosk)
        self._state_before = window.windowState()
        window.setWindowState(self._state_before | Qt.WindowState.WindowFullScreen)
        self._read_at_s, self._restart_at_s, self._restart_in_s = 0.0, None, RESTART_S
        self.poll()

    def leave(self) -> None:
        """Show the window as it was."""
        if not self.on:
            return
        window = self._window
        self.stage.end()
        window.view.take_canvas_back()
        self._pages.setCurrentIndex(0)
        window.menuBar().show()
        window.setAcceptDrops(True)
        for dock in self._docks:
            dock.show()
        if self._palette_before is not None and self._player.choices.view.palette == LIGHT_PALETTE:
            self._apply_palette(self._palette_before)
        self._palette_before = None
        if self.stage.kiosk:
            self._player.apply(replace(self._player.choices, loop=self._loop_before))
        window.setWindowState(self._state_before)
        window.view.setFocus()

    def follow_palette(self) -> None:
        """Use the palette that a person has chosen."""
        if self.on:
            self.stage.set_palette(PALETTES[self._player.choices.view.palette])

    def show_note(self, words: str) -> None:
        """Show a few words on the stage for some seconds."""
        if self.on:
            self.stage.caption.show_note(words, time.perf_counter())

    def _use_light_palette(self) -> None:
        """Use a light palette in the light theme, unless a person has chosen one: a dark picture would be a hole."""
        usual = self._player.choices.view.palette
        if style.theme is style.LIGHT and usual == DEFAULT_PALETTE.name:
            self._palette_before = usual
            self._apply_palette(LIGHT_PALETTE)

    def _apply_palette(self, name: str) -> None:
        choices = self._player.choices
        self._player.apply(replace(choices, view=replace(choices.view, palette=name)))
        self._show_palette(name)

    # As time goes by

    def poll(self) -> None:
        """Show what the window says, and keep a kiosk going."""
        if not self.on:
            return
        if self._window.dialog is not None:
            self.stage.wake()  # it needs the mouse
        now_s = time.perf_counter()
        if now_s - self._read_at_s < READ_S:
            return
        self._read_at_s = now_s
        self._window.view.canvas.setVisible(self._window.view.has_picture)
        self.stage.bar.source.setText(self._window.header.source.text())
        self.stage.bar.state.setText(self._window.header.state.text())
        if self.stage.holding:
            self.stage.caption.show_note(self.stage.holding, now_s)
        self.stage.caption.show_said(self._said(), now_s)
        if self.stage.kiosk and self._player.session is not None:
            self._keep_going(self._player.session, now_s)
            if not self._window.isFullScreen():  # the window manager's doing
                self._window.setWindowState(self._window.windowState() | Qt.WindowState.WindowFullScreen)

    def _said(self) -> Said:
        """Return what the window says now: no decision where the source has failed or is lost."""
        window, session = self._window, self._player.session
        if session is not None and session.control.state == "failed":
            words = RESTARTING if self.stage.kiosk else window.header.state.text()
            return Said(words, session.error or "")
        if session is not None and session.control.lost:
            return Said(window.header.state.text(), session.control.lost)
        if not window.view.has_picture:
            return Said(window.view.page.title.text(), window.view.page.hint.text())
        decision, rows = window.readout.decision, window.readout.rows
        if session is not None and (silence := session.silence) is not None:
            return Said(f"{NO_EVENTS} {ago(silence.seconds)}", decision.why)
        if decision.decided and rows.decision in rows.classes:
            number = rows.classes.index(rows.decision)
            return Said(decision.text, decision.why, number, decision.confidence)
        return Said(decision.text, decision.why)

    def _keep_going(self, session: Session, now_s: float) -> None:
        """Start the source again, some time after it has failed or ended."""
        if session.control.state in ("failed", "ended"):
            self._playing_since_s = None
            if self._restart_at_s is None:
                self._restart_at_s = now_s + self._restart_in_s
                self._restart_in_s = min(2 * self._restart_in_s, MOST_RESTART_S)
            elif now_s >= self._restart_at_s:
                self._restart_at_s = None
                self._player.play_again()
                self._begin()
            return
        self._restart_at_s = None
        if session.control.state == "playing":
            self._playing_since_s = self._playing_since_s or now_s
            if now_s - self._playing_since_s > STEADY_S:
                self._restart_in_s = RESTART_S
