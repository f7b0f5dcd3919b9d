"""The stage: picture and decision over the whole screen, for people who stand ten metres away; and the kiosk."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import NamedTuple, cast

from PySide6.QtCore import QEvent, QRect, QRectF, Qt, Signal
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
from livesnn.app.widgets.basics import LEFT, RIGHT, draw_bar, rounded, write
from livesnn.app.widgets.event_view import PictureCanvas
from livesnn.app.widgets.readout import ago, fitting_pixels
from livesnn.app.window_layout import WindowLayout
from livesnn.events.picture import DEFAULT_PALETTE, Palette
from livesnn.session.session import Session
from livesnn.session.verdict import NO_EVENTS, Verdict

FADE_S = 8.0  # for which a decision that is over can still be read
AGAIN_S = 2.0  # a class that is decided again so soon has not been over
MOST_PAST = 6
LEAVE = "Esc or a double click leaves the stage"
RESTART_S = 5.0  # from an error to the restart of a kiosk's source
RESTARTING = "Starting again …"
_CTRL_SHIFT = Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier

# Heights in hundredths of the screen's. From ten metres, capital letters of 5 cm are read with ease: 7 of them on a
# screen of 55 inches, whose letters of 16 have capitals of 11.
_PICTURE, _CAPTION = 77, 40
_LARGEST, _WAITING, _WORDS_BOX, _PAST, _BAR, _MARGIN = 17, 9, 26, 5, 1.4, 5


class Past(NamedTuple):
    """A decision that is over: its words, the class's number, and when it ended."""

    words: str
    number: int
    ended_s: float


Trail = tuple[Past, ...]  # The newest first


def follow_trail(trail: Trail, before: Verdict, now: Verdict, now_s: float) -> Trail:
    """Return the decisions that are over and still remembered, after ``before`` was followed by ``now``."""
    if before.number is not None and before.number != now.number:
        trail = (Past(before.words, before.number, now_s), *trail)
    if trail and trail[0].number == now.number and now_s - trail[0].ended_s < AGAIN_S:
        trail = trail[1:]
    return tuple(past for past in trail if now_s - past.ended_s < FADE_S)[:MOST_PAST]


class Caption(QWidget):
    """The decision, its probability, and those before it, over the lower part of the picture.

    It is painted once for each change: below it, the picture changes sixty times a second.
    """

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.said = Verdict("")
        self.trail: Trail = ()
        self._palette = DEFAULT_PALETTE
        self._scrim = self._painted = QPixmap()
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)

    def set_palette(self, palette: Palette) -> None:
        self._palette = palette
        self._paint_scrim()

    def show_said(self, said: Verdict, now_s: float) -> None:
        """Show what the window says; call it some times a second, for what fades."""
        trail = follow_trail(self.trail, self.said, said, now_s)
        fades = bool(trail or self.trail)
        changed = said != self.said
        self.said, self.trail = said, trail
        if changed or fades:
            self._repaint(now_s)
        self.setAccessibleName(". ".join(filter(None, (said.words, said.why))))

    def forget(self) -> None:
        self.said, self.trail = Verdict(""), ()
        self._repaint()

    def _paint_scrim(self) -> None:
        if self.size().isEmpty():
            return
        ratio = self.devicePixelRatioF()
        self._scrim = QPixmap(self.size() * ratio)
        self._scrim.setDevicePixelRatio(ratio)
        self._scrim.fill(Qt.GlobalColor.transparent)
        scrim = QLinearGradient(0, 0, 0, self.height())
        for at, opacity in ((0.0, 0.0), (0.12, 0.7), (0.24, 0.92), (0.4, 1.0)):
            colour = QColor(*self._palette.background)
            colour.setAlphaF(opacity)
            scrim.setColorAt(at, colour)
        painter = QPainter(self._scrim)
        painter.fillRect(self.rect(), scrim)
        painter.end()
        self._repaint()

    def _repaint(self, now_s: float = 0.0) -> None:
        if self._scrim.isNull():
            return
        self._painted = QPixmap(self._scrim)
        painter = QPainter(self._painted)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        _CaptionPainter(painter, self.rect(), self._palette).paint(self.said, self.trail, now_s)
        painter.end()
        self.update()

    def resizeEvent(self, event: QResizeEvent) -> None:
        self._paint_scrim()

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.drawPixmap(0, 0, self._painted)


class _CaptionPainter:
    """Paints a caption into a box, on the ground of a palette."""

    def __init__(self, painter: QPainter, box: QRect, palette: Palette) -> None:
        self._painter = painter
        self._theme = style.DARK if palette.ink == (255, 255, 255) else style.LIGHT
        self._unit = unit = box.height() / _CAPTION
        self._box = QRectF(box).adjusted(_MARGIN * unit, 0, -_MARGIN * unit, -_MARGIN * unit)

    def paint(self, said: Verdict, trail: Trail, now_s: float) -> None:
        bottom, unit = self._box.bottom(), self._unit
        if said.number is not None:
            bottom = self._paint_bar(bottom, said.confidence, self._class(said.number))
        elif said.why:
            bottom -= 5 * unit
            small = style.text_font(round(3.2 * unit))
            write(self._painter, self._row(bottom, 5), said.why, self._theme.soft, LEFT, small)
        top = self._paint_words(bottom, said)
        self._paint_trail(self._row(top - (_PAST + 3) * unit, _PAST + 2), trail, now_s)

    def _row(self, top: float, height: float) -> QRectF:
        return QRectF(self._box.left(), top, self._box.width(), height * self._unit)

    def _font(self, height: float) -> QFont:
        return style.text_font(round(height * self._unit), weight=QFont.Weight.DemiBold)

    def _class(self, number: int) -> QColor:
        return QColor(self._theme.classes[number % len(self._theme.classes)])

    def _paint_bar(self, bottom: float, share: float, colour: QColor) -> float:
        track = self._row(bottom - 2 * _BAR * self._unit, _BAR)
        track.setRight(track.right() - 15 * self._unit)
        draw_bar(self._painter, track, max(share, _BAR * self._unit / track.width()), self._theme.raised, colour)
        beside = QRectF(track.right(), track.center().y() - 3 * self._unit, 15 * self._unit, 6 * self._unit)
        write(self._painter, beside, f"{100 * share:.0f} %", self._theme.soft, RIGHT, self._font(4))
        return track.top() - 2 * self._unit

    def _paint_words(self, bottom: float, said: Verdict) -> float:
        largest = round((_WAITING if said.number is None else _LARGEST) * self._unit)
        box = self._row(bottom - _WORDS_BOX * self._unit, _WORDS_BOX)
        pixels = fitting_pixels(said.words, round(box.width()), round(box.height()), largest=largest)
        self._painter.setFont(style.text_font(pixels, weight=QFont.Weight.Bold))
        colour = QColor(self._theme.faint) if said.number is None else self._class(said.number)
        flags = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignBottom | Qt.TextFlag.TextWordWrap
        write(self._painter, box, said.words, colour, flags)
        return self._painter.boundingRect(box, int(flags), said.words).top() if said.words else bottom

    def _paint_trail(self, row: QRectF, trail: Trail, now_s: float) -> None:
        self._painter.setFont(self._font(_PAST))
        x, radius = row.left(), 0.9 * self._unit
        for past in trail:
            width = self._painter.fontMetrics().horizontalAdvance(past.words)
            if x + 4 * radius + width > row.right():
                break
            colour = self._class(past.number)
            self._painter.setOpacity(max(1 - (now_s - past.ended_s) / FADE_S, 0.0))
            dot = QRectF(x, row.center().y() - radius, 2 * radius, 2 * radius)
            rounded(self._painter, dot, radius, colour)
            x += 3.5 * radius
            write(self._painter, QRectF(x, row.top(), width + 2, row.height()), past.words, colour)
            x += width + 5 * radius
        self._painter.setOpacity(1.0)


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
        self.caption.forget()
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
        self.stage.caption.show_said(self._said(), now_s)
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
