"""The stage: picture and decision over the whole screen, for people who stand ten metres away; and the kiosk."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import cast

from PySide6.QtCore import QEvent, QRectF, Qt, Signal
from PySide6.QtGui import (
    QColor,
    QFont,
    QKeyEvent,
    QLinearGradient,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPixmap,
    QResizeEvent,
)
from PySide6.QtWidgets import QDockWidget, QStackedWidget, QWidget

from livesnn.app import style
from livesnn.app.session_display import READ_S
from livesnn.app.widgets.basics import LEFT, RIGHT, draw_bar, write
from livesnn.app.widgets.event_view import PictureCanvas
from livesnn.app.widgets.readout import ago, fitting_pixels
from livesnn.app.window_layout import WindowLayout
from livesnn.events.picture import DEFAULT_PALETTE, Palette
from livesnn.session.session import Session
from livesnn.session.verdict import NO_EVENTS, Verdict

LEAVE = "Esc or a double click leaves the stage"
RESTART_S = 5.0  # from an error to the restart of a kiosk's source
RESTARTING = "Starting again …"
_CTRL_SHIFT = Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier

# Heights in hundredths of the screen's. From ten metres, capital letters of 5 cm are read with ease: 7 of them on a
# screen of 55 inches, whose letters of 16 have capitals of 11.
_PICTURE, _CAPTION = 77, 40
_LARGEST, _WAITING, _WORDS_BOX, _BAR, _MARGIN = 17, 9, 26, 1.4, 5


class Caption(QWidget):
    """The decision and its probability, over the lower part of the picture.

    It is painted once for each change: below it, the picture changes sixty times a second.
    """

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.said = Verdict("")
        self._palette = DEFAULT_PALETTE
        self._painted = QPixmap()
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)

    def set_palette(self, palette: Palette) -> None:
        self._palette = palette
        self._repaint()

    def show_said(self, said: Verdict) -> None:
        if said != self.said:
            self.said = said
            self._repaint()
            self.setAccessibleName(". ".join(filter(None, (said.words, said.why))))

    def _repaint(self) -> None:
        if self.size().isEmpty():
            return
        ratio = self.devicePixelRatioF()
        self._painted = QPixmap(self.size() * ratio)
        self._painted.setDevicePixelRatio(ratio)
        self._painted.fill(Qt.GlobalColor.transparent)
        scrim = QLinearGradient(0, 0, 0, self.height())  # the picture fades, so that every letter can be read
        for at, opacity in ((0.0, 0.0), (0.12, 0.7), (0.24, 0.92), (0.4, 1.0)):
            colour = QColor(*self._palette.background)
            colour.setAlphaF(opacity)
            scrim.setColorAt(at, colour)
        painter = QPainter(self._painted)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.fillRect(self.rect(), scrim)
        self._write(painter)
        painter.end()
        self.update()

    def _write(self, painter: QPainter) -> None:
        said, unit = self.said, self.height() / _CAPTION
        theme = style.DARK if self._palette.ink == (255, 255, 255) else style.LIGHT
        box = QRectF(self.rect()).adjusted(_MARGIN * unit, 0, -_MARGIN * unit, -_MARGIN * unit)
        colour, largest = QColor(theme.faint), _WAITING
        if said.number is not None:
            colour, largest = QColor(theme.classes[said.number % len(theme.classes)]), _LARGEST
            track = QRectF(box.left(), box.bottom() - 2 * _BAR * unit, box.width() - 15 * unit, _BAR * unit)
            draw_bar(painter, track, max(said.confidence, track.height() / track.width()), theme.raised, colour)
            beside = QRectF(track.right(), track.center().y() - 3 * unit, 15 * unit, 6 * unit)
            font = style.bold_font(round(4 * unit))
            write(painter, beside, f"{100 * said.confidence:.0f} %", theme.soft, RIGHT, font)
            box.setBottom(track.top() - 2 * unit)
        elif said.why:
            box.setBottom(box.bottom() - 5 * unit)
            why = QRectF(box.left(), box.bottom(), box.width(), 5 * unit)
            write(painter, why, said.why, theme.soft, LEFT, style.text_font(round(3.2 * unit)))
        box.setTop(box.bottom() - _WORDS_BOX * unit)
        width, height = round(box.width()), round(box.height())
        pixels = fitting_pixels(said.words, width, height, largest=round(largest * unit))
        flags = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignBottom | Qt.TextFlag.TextWordWrap
        write(painter, box, said.words, colour, flags, style.text_font(pixels, weight=QFont.Weight.Bold))

    def resizeEvent(self, event: QResizeEvent) -> None:
        self._repaint()

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.drawPixmap(0, 0, self._painted)


class Stage(QWidget):
    """Fills the window with a picture canvas, which it borrows, and a caption; only Ctrl+Shift+Q leaves a kiosk."""

    leave_requested = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.kiosk = False
        self._canvas: PictureCanvas | None = None
        self.caption = Caption(self)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setCursor(Qt.CursorShape.BlankCursor)
        self.setContextMenuPolicy(Qt.ContextMenuPolicy.PreventContextMenu)
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)
        self._ground = QColor()

    def begin(self, canvas: PictureCanvas, *, kiosk: bool) -> None:
        """Show this canvas from now on; give it back to its layout after `end`."""
        self.kiosk, self._canvas = kiosk, canvas
        canvas.setParent(self)
        canvas.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        canvas.framed = False
        canvas.fit()
        canvas.show()
        canvas.lower()
        self.caption.show_said(Verdict(""))
        self._place()
        self.setFocus()
        if not kiosk:
            canvas.tell(LEAVE)

    def end(self) -> None:
        if self._canvas is not None:
            self._canvas.framed = True
            self._canvas.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents, False)
        self._canvas = None

    def set_palette(self, palette: Palette) -> None:
        self._ground = QColor(*palette.background)
        self.caption.set_palette(palette)
        self.update()

    def _place(self) -> None:
        width, height = self.width(), self.height()
        if self._canvas is not None:
            self._canvas.setGeometry(0, 0, width, round(height * _PICTURE / 100))
        unit = min(height, 0.75 * width) / 100
        self.caption.setGeometry(0, round(height - _CAPTION * unit), width, round(_CAPTION * unit))

    def resizeEvent(self, event: QResizeEvent) -> None:
        self._place()

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.fillRect(event.rect(), self._ground)

    def event(self, event: QEvent) -> bool:
        """Let no shortcut work in a kiosk."""
        if self.kiosk and event.type() == QEvent.Type.ShortcutOverride:
            event.accept()
            return True
        return super().event(event)

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        if not self.kiosk:
            self.leave_requested.emit()

    def keyReleaseEvent(self, event: QKeyEvent) -> None:
        """Leave a kiosk, but not before Q is released: while Ctrl is held, one that repeats would quit."""
        released = event.key() == Qt.Key.Key_Q and not event.isAutoRepeat()
        if self.kiosk and released and event.modifiers() == _CTRL_SHIFT:
            self.leave_requested.emit()


class Presenting:
    """Shows the stage in place of the window's parts, and leaves it again."""

    def __init__(self, window: WindowLayout) -> None:
        self._window, self._player = window, window.player
        self.stage = Stage()
        self.stage.leave_requested.connect(self.leave)
        self.pages = QStackedWidget()
        self.pages.addWidget(cast(QWidget, window.takeCentralWidget()))
        self.pages.addWidget(self.stage)
        window.setCentralWidget(self.pages)
        window.view.setFocus()  # which it has lost by moving
        self._state_before = Qt.WindowState.WindowNoState
        self._docks: list[QDockWidget] = []  # that are shown again
        self._loop_before = False  # of a kiosk
        self._read_at_s = 0.0
        self._restart_at_s: float | None = None

    @property
    def on(self) -> bool:
        return self.pages.currentWidget() is self.stage

    @property
    def locked(self) -> bool:
        """Whether it is a kiosk, which isn't left by closing the window."""
        return self.on and self.stage.kiosk

    def enter(self, *, kiosk: bool = False) -> None:
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
        self.pages.setCurrentWidget(self.stage)
        self.stage.begin(window.view.canvas, kiosk=kiosk)
        self._state_before = window.window().windowState()
        window.window().setWindowState(self._state_before | Qt.WindowState.WindowFullScreen)
        self._read_at_s, self._restart_at_s = 0.0, None
        self.poll()

    def toggle(self) -> None:
        self.leave() if self.on else self.enter()

    def leave(self) -> None:
        if not self.on:
            return
        window = self._window
        self.stage.end()
        window.view.take_canvas_back()
        self.pages.setCurrentIndex(0)
        window.menuBar().show()
        window.setAcceptDrops(True)
        for dock in self._docks:
            dock.show()
        if self.stage.kiosk:
            self._player.apply(replace(self._player.choices, loop=self._loop_before))
        window.window().setWindowState(self._state_before)
        window.view.setFocus()

    def poll(self) -> None:
        if not self.on:
            return
        now_s = time.perf_counter()
        if now_s - self._read_at_s < READ_S:
            return
        self._read_at_s = now_s
        self._window.view.canvas.setVisible(self._window.view.has_picture)
        self.stage.caption.show_said(self._said())
        if self.stage.kiosk and self._player.session is not None:
            self._keep_going(self._player.session, now_s)
            whole = self._window.window()
            if not whole.isFullScreen():  # the window manager's doing
                whole.setWindowState(whole.windowState() | Qt.WindowState.WindowFullScreen)

    def _said(self) -> Verdict:
        """Return what the window says now: no decision where the source has failed or is lost."""
        window, session = self._window, self._player.session
        if session is not None and session.control.state == "failed":
            words = RESTARTING if self.stage.kiosk else window.header.state.text()
            return Verdict(words, session.error or "")
        if session is not None and session.control.lost:
            return Verdict(window.header.state.text(), session.control.lost)
        if not window.view.has_picture:
            return Verdict(window.view.page.title.text(), window.view.page.hint.text())
        said = window.readout.decision.said
        if session is not None and (silence := session.silence) is not None:
            return Verdict(f"{NO_EVENTS} {ago(silence.seconds)}", said.why)
        return said if said.number is not None else Verdict(said.words, said.why)  # no bar, so nothing to paint anew

    def _keep_going(self, session: Session, now_s: float) -> None:
        if session.control.state not in ("failed", "ended"):
            self._restart_at_s = None
        elif self._restart_at_s is None:
            self._restart_at_s = now_s + RESTART_S
        elif now_s >= self._restart_at_s:
            self._restart_at_s = None
            self._player.play_again()
