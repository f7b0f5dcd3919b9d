"""The bars above and below the picture: the header, the banner, and the controls."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from PySide6.QtCore import Qt, QTimer, Slot
from PySide6.QtGui import QFont
from PySide6.QtWidgets import QFrame, QHBoxLayout, QMenu, QSizePolicy, QVBoxLayout, QWidget

from livesnn.app import style
from livesnn.app.model_choice import Button
from livesnn.app.style import Tone
from livesnn.app.widgets.basics import (
    NOTHING,
    STRETCH,
    ChoiceBox,
    ShorteningLabel,
    button,
    dot,
    fill,
    help_button,
    icon_button,
    label,
    plain_tip,
)
from livesnn.app.widgets.timeline import Timeline, clock
from livesnn.events.labels import Label
from livesnn.session.control import RUNNING, ShownState

_STATES: dict[ShownState, tuple[str, Tone]] = {  # → words, tone of the dot
    "empty": ("No source", "faint"),
    "opening": ("Opening", "warning"),
    "playing": ("Playing", "accent"),
    "waiting": ("Waiting for events", "warning"),
    "paused": ("Paused", "warning"),
    "ended": ("Ended", "soft"),
    "failed": ("Error", "danger"),
}
NEWS_MS = 20_000
BannerKind = Literal["error", "warning", "waiting", "info"]
_LOSSES = ("lost", "skipped", "left out")
SPEEDS = (0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, math.inf)
LIVE, SIMULATED = "LIVE", "SIMULATED"
RECORD, STOP = "Record to a file (Ctrl+S)", "Stop recording (Ctrl+S)"
_PLAY = {  # state: icon and words
    "playing": ("pause", "Pause"),
    "waiting": ("pause", "Pause"),
    "ended": ("again", "Play again"),
}


class Header(QWidget):
    """Shows the source, its state and the model, and offers others."""

    def __init__(self) -> None:
        super().__init__()
        self.source = ShorteningLabel(style.bold_font(15))
        self.state = label("", style.text_font(13), "soft")
        self.model = button(height=34)
        open_tip = "Open a recording, a camera or a stream. You can also drop a file on the window."
        self.open = button("Open", height=34, tip=open_tip)
        self._dot = dot()
        for widget in (self.model, self.open):
            widget.setLayoutDirection(Qt.LayoutDirection.RightToLeft)  # the arrow follows the words
            style.set_icon(widget, "chevron", "soft", 18)
        title = label("livesnn", style.text_font(19, weight=QFont.Weight.Bold), "accent")
        parts = (title, 14, (self.source, 1), self._dot, self.state, 12, self.model, self.open)
        fill(QHBoxLayout(self), *parts, spacing=10, margins=(4, 0, 0, 0))
        self.show_names("")
        self.show_state("empty")

    def set_open_menu(self, menu: QMenu) -> None:
        menu.setLayoutDirection(Qt.LayoutDirection.LeftToRight)  # the button's is for its arrow
        self.open.setMenu(menu)
        under_mouse = Qt.WidgetAttribute.WA_UnderMouse
        menu.aboutToHide.connect(lambda: self.open.setAttribute(under_mouse, False))  # Qt doesn't notice

    def show_names(self, source: str, model: str = "", *, engine: str = "", about_model: str = "") -> None:
        """Name the source, the model and its engine; "": there is none. ``about_model`` is a tooltip."""
        self.source.setText(source)
        self.source.setToolTip(plain_tip(source))
        self._named = f"Model: {model}" if model else "Choose a model"
        self.show_engine(engine)
        choose = "Choose a model and an engine"
        self.model.setToolTip(plain_tip(f"{about_model}\n{choose}") if about_model else choose)

    def show_engine(self, engine: str) -> None:
        words = f"{self._named} · {engine}" if engine else self._named
        self.model.setText(words.replace("&", "&&"))  # a single & would underline a letter

    def show_state(self, state: ShownState) -> None:
        words, tone = _STATES[state]
        self.state.setText(words)
        style.set_rule(self._dot, "tone", tone)


class Banner(QFrame):
    """One message with at most two buttons to act on it, shown until it is closed or another source is opened.

    News that asks for nothing goes by itself after `NEWS_MS`.
    """

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("banner")
        self.kind: BannerKind | None = None  # of the last message
        self.message = label("", style.text_font(14), wrap=True)
        self.message.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.action = button(height=32, name="do", do=lambda: self._act(0))
        self.other = button(height=32, name="do", do=lambda: self._act(1))
        self._actions: tuple[Button, ...] = ()
        self._read = QTimer(self, singleShot=True, interval=NEWS_MS)
        self._read.timeout.connect(self.hide)
        close = icon_button("close", "Close this message", 32, 18, self.hide, tone="text")
        parts = ((self.message, 1), self.action, self.other, close)
        fill(QHBoxLayout(self), *parts, spacing=6, margins=(16, 6, 10, 6))
        self.hide()

    def show_warnings(self, warnings: Sequence[str]) -> None:
        """Show what is lost, damaged or assumed in the source; losses come first."""
        lost_first = sorted(warnings, key=lambda warning: not any(word in warning for word in _LOSSES))
        shown = lost_first if len(warnings) == 2 else lost_first[:1]
        hidden = len(warnings) - len(shown)
        more = f" (and {hidden} more: livesnn info lists them)" if hidden else ""
        self.show_message("\n".join(shown) + more, "warning")

    def show_message(self, message: str, kind: BannerKind, *actions: Button) -> None:
        self.kind, self._actions = kind, actions
        for box, words in zip((self.action, self.other), [*(words for words, _ in actions), "", ""], strict=False):
            box.setText(words)
            box.setVisible(bool(words))
        style.set_rule(self, "kind", kind)
        self.message.setText(message)
        self.show()
        self._read.stop()
        if kind == "info" and not actions:
            self._read.start()

    def _act(self, number: int) -> None:
        self.hide()
        self._actions[number][1]()


class Transport(QFrame):
    """The controls below the picture: play, frame by frame, speed, repeat, record, timeline.

    A source without an end has a line that says LIVE or SIMULATED instead. Before a source is open, the controls look
    as they do for a recording, so that nothing moves when one is opened.
    """

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("card")
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)
        self.back = icon_button("back", "One frame back (,)", 36, 20)
        self.play = icon_button("play", "Play or pause (Space)", 42, 20, name="play")
        self.forward = icon_button("forward", "One frame forward (.)", 36, 20)
        self.position = label(NOTHING, style.bold_font(14))
        self.slash = label("/", style.text_font(14), "faint")
        self.total = label(NOTHING, style.text_font(14), "soft")
        self.dot = dot()
        self.live = label(LIVE, style.text_font(13, weight=QFont.Weight.Bold, spacing=1.2))
        self.elapsed = label(NOTHING, style.text_font(14), "soft")
        self.recorded = ShorteningLabel(style.text_font(14))
        self.record = icon_button("record", RECORD, 36, 20)
        speeds = {speed: "Max" if math.isinf(speed) else f"{speed:g}×" for speed in SPEEDS}
        self.speed = ChoiceBox("Speed", speeds)
        self.speed.setToolTip("Replay speed ([ and ]); Max is as fast as the network can go")
        self.speed.choose(1.0)
        self.loop = icon_button("loop", "Repeat (L): each repetition starts with a fresh state", 36, 20)
        self.loop.setCheckable(True)
        self.line = Timeline()
        self.line.seek_requested.connect(self._show_sought)
        self._live_from_s: float | None = None  # first position of a live source: cameras begin at any time
        self._state: ShownState = "empty"
        controls = QWidget()
        controls.setFixedHeight(44)
        words = (self.position, self.slash, self.total, self.dot, self.live, self.elapsed)
        right = (self.recorded, self.record, self.speed, self.loop)
        about = help_button("window.md#recordings", "recordings and recording")
        parts = (self.back, self.play, self.forward, 6, *words, STRETCH, *right, about)
        fill(QHBoxLayout(controls), *parts, spacing=8)
        fill(QVBoxLayout(self), controls, self.line, spacing=2, margins=(12, 5, 12, 5))
        self.set_recording(None)
        self.show_recording("")

    def set_recording(
        self,
        duration_s: float | None,
        classes: Sequence[str] = (),
        labels: Sequence[Label] = (),
        *,
        simulated: bool = False,
    ) -> None:
        """Fit the controls to a recording of this length; None: nothing is open, or the source has no end.

        ``classes`` are the model's in its order, for their colours on the timeline.
        """
        self.live.setText(SIMULATED if simulated else LIVE)
        self._total_s, self._live_from_s = duration_s, None
        self.line.set_recording(duration_s, classes, labels)
        self.total.setText(NOTHING if duration_s is None else clock(duration_s))
        for words in (self.position, self.elapsed):
            words.setText(NOTHING if duration_s is None else clock(0.0, total_s=duration_s))
        self._fit()

    def lengthen(self, duration_s: float) -> None:
        """Show that the recording is so long, which is known only once it has been indexed."""
        self._total_s = duration_s
        self.line.lengthen(duration_s)
        self.total.setText(clock(duration_s))

    def show_position(self, seconds: float) -> None:
        if self._total_s is None:
            if self._live_from_s is None or seconds < self._live_from_s:
                self._live_from_s = seconds
            self.elapsed.setText(clock(seconds - self._live_from_s))
        elif not self.line.is_dragging:
            self.line.show_position(seconds)
            self.position.setText(clock(seconds, total_s=self._total_s))

    def show_recording(self, words: str) -> None:
        """Show how a live source's recording goes; "": there is none."""
        self.recorded.setText(words)
        self.recorded.setToolTip(plain_tip(words))  # all words, even where there is no room
        style.set_icon(self.record, *(("stop", "danger") if words else ("record", "text")))
        style.set_rule(self.record, "on", "yes" if words else "no")
        tip = STOP if words else RECORD
        self.record.setToolTip(tip)
        self.record.setAccessibleName(tip)

    def show_state(self, state: ShownState) -> None:
        self._state = state
        self._fit()

    def _fit(self) -> None:
        seekable, running = self._total_s is not None, self._state in RUNNING
        live = running and not seekable
        of_live = (self.dot, self.live, self.elapsed, self.recorded, self.record)
        of_recordings = (self.back, self.forward, self.position, self.slash, self.total, self.speed, self.loop)
        for widget in (*of_live, *of_recordings, self.line):
            widget.setVisible(live == (widget in of_live))
        steps = seekable and running
        for control, icon, usable in (
            (self.back, "back", steps),
            (self.forward, "forward", steps),
            (self.loop, "loop", seekable),
        ):
            control.setEnabled(usable)
            style.set_icon(control, icon, "text" if usable else "faint")
        self.speed.setEnabled(seekable)
        self.line.setEnabled(bool(self._total_s) and running)
        tone = "accent" if self._state == "playing" else "faint"  # red is for recording
        style.set_rule(self.dot, "tone", tone)
        icon, words = _PLAY.get(self._state, ("play", "Play"))
        self.play.setEnabled(running)
        style.set_icon(self.play, icon, "on_accent" if running else "faint")
        self.play.setToolTip(f"{words} (Space)")
        self.play.setAccessibleName(words)

    def change_speed(self, steps: int) -> None:
        """Choose a speed so many steps higher, or lower below 0, if there is one."""
        index = self.speed.currentIndex() + steps
        if self.speed.isEnabled() and 0 <= index < len(SPEEDS):
            self.speed.setCurrentIndex(index)

    @Slot(float)
    def _show_sought(self, seconds: float) -> None:
        self.position.setText(clock(seconds, total_s=self._total_s))
