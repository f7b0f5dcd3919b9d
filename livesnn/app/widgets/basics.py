"""What the window's parts and dialogs are built of: labels, cards, painted parts, the dialog with a heading."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from html import escape
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from PySide6.QtCore import QBuffer, QEvent, QLocale, QPointF, QRectF, QSize, Qt, QUrl
from PySide6.QtGui import QColor, QDesktopServices, QFont, QHelpEvent, QImage, QImageWriter, QPainter, QPaintEvent
from PySide6.QtWidgets import (
    QBoxLayout,
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QDoubleSpinBox,
    QFileDialog,
    QFrame,
    QHBoxLayout,
    QLabel,
    QLayout,
    QLineEdit,
    QPushButton,
    QScrollArea,
    QSizePolicy,
    QSpinBox,
    QToolTip,
    QVBoxLayout,
    QWidget,
)

from livesnn.app import style
from livesnn.app.style import Tone

PROJECT = "https://github.com/livesnn/livesnn"
FRAME = (16, 40)  # pixels of width and height that window managers put around a window, before it is known
NOTHING = "–"
LEFT = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter
RIGHT = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
Do = Callable[[], object] | None  # What a button does


def label(text: str, font: QFont, tone: Tone = "text", *, wrap: bool = False) -> QLabel:
    widget = QLabel(text)
    widget.setTextFormat(Qt.TextFormat.PlainText)  # a class or a file may be called <b>
    widget.setFont(font)
    widget.setWordWrap(wrap)
    widget.setProperty("tone", tone)
    return widget


def plain_tip(words: str) -> str:
    """Return words for a tooltip that shows them as they are: Qt would follow HTML in the name of a file."""
    if "<" not in words:
        return words
    return f"<p>{escape(words, quote=False)}</p>".replace("\n", "<br>")


def heading(words: str) -> QLabel:
    return label(words, style.bold_font(14))


def note(words: str, pixels: int = 13) -> QLabel:
    return label(words, style.text_font(pixels), "soft", wrap=True)


def dialog_button(words: str, do: Callable[[], object]) -> QPushButton:
    """Return a button of a dialog that Enter doesn't press: that is for the main one."""
    widget = QPushButton(words)
    widget.setAutoDefault(False)
    widget.clicked.connect(lambda _=False: do())
    return widget


def dot() -> QLabel:
    widget = QLabel()
    widget.setObjectName("dot")
    widget.setFixedSize(10, 10)
    return widget


def button(
    text: str = "", *, height: int, width: int = 0, pixels: int = 14, name: str = "", tip: str = "", do: Do = None
) -> QPushButton:
    """Return a button that takes the focus by Tab only: after a click the space bar still plays and pauses.

    ``width`` 0 is that of the text; ``name`` is for the style sheet. Without a text, the tip is its name for screen
    readers.
    """
    widget = QPushButton(text)
    widget.setObjectName(name)
    widget.setToolTip(tip)
    widget.setAccessibleName("" if text else tip)
    widget.setFont(style.text_font(pixels))
    widget.setFixedHeight(height)
    if width:
        widget.setFixedWidth(width)
    widget.setFocusPolicy(Qt.FocusPolicy.TabFocus)
    if do is not None:
        widget.clicked.connect(lambda _=False: do())
    return widget


def icon_button(
    icon: str, tip: str, size: int, pixels: int, do: Do = None, *, tone: Tone = "soft", name: str = "icon"
) -> QPushButton:
    """Return a square button with an icon of style.py, which is ``pixels`` large."""
    widget = button(height=size, width=size, name=name, tip=tip, do=do)
    style.set_icon(widget, icon, tone, pixels)
    return widget


def docs_address(page: str) -> str:
    """Return the address of a page of the documentation, such as "window.md#numbers"."""
    return f"{PROJECT}/blob/main/docs/{page}"


def open_docs(page: str) -> None:
    QDesktopServices.openUrl(QUrl(docs_address(page)))


def open_folder(folder: Path) -> None:
    QDesktopServices.openUrl(QUrl.fromLocalFile(str(folder)))


def rgb_image(rgb: npt.NDArray[np.uint8]) -> QImage:
    """Return a copy of a picture, uint8 [H, W, 3], contiguous."""
    height, width, _ = rgb.shape
    image = QImage(rgb.data, width, height, 3 * width, QImage.Format.Format_RGB888)
    return image.convertToFormat(QImage.Format.Format_RGB32)  # painted four times as fast


def png(image: QImage) -> bytes:
    buffer = QBuffer()
    QImageWriter(buffer, b"png").write(image)
    return bytes(buffer.data().data())


FILE_FILTER = (
    "Recordings (*.aedat4 *.aedat *.raw *.dat *.bin *.es *.npz *.csv *.txt *.h5 *.hdf5 *.bag *.db3 *.mcap);;"
    "Videos (*.avi *.mp4 *.mov *.m4v *.mkv *.webm);;All files (*)"
)


def save_dialog(
    parent: QWidget, title: str, path: Path, kinds: Mapping[str, str], use: Callable[[Path], object]
) -> QFileDialog:
    """Return a dialog that asks where to write a file; ``path`` is proposed, and what is chosen goes to ``use``.

    ``kinds``: what a person reads for each suffix that it may have, such as {".png": "Pictures (*.png)"}.
    """
    dialog = QFileDialog(parent, title, str(path.parent))
    dialog.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
    dialog.setNameFilters([*kinds.values()])
    dialog.setDefaultSuffix(next(iter(kinds)))
    suffixes = {words: suffix for suffix, words in kinds.items()}
    dialog.filterSelected.connect(lambda words: dialog.setDefaultSuffix(suffixes[words]))
    dialog.selectFile(path.name)
    dialog.fileSelected.connect(lambda file: use(Path(file)))
    return dialog


def help_button(page: str, about: str) -> QPushButton:
    """Return a small "?" that opens a page of the documentation; ``about`` names what it explains."""
    tip = f"Help: {about} (opens in the browser)"
    widget = button("?", height=18, width=18, pixels=11, name="help", tip=tip, do=lambda: open_docs(page))
    widget.setAccessibleName(tip)
    widget.setAutoDefault(False)  # in a dialog, Enter is for something else
    return widget


def line_edit(text: str, placeholder: str, name: str, *, least_width: int = 0) -> QLineEdit:
    widget = QLineEdit(text)
    widget.setFont(style.text_font(15))
    widget.setPlaceholderText(placeholder)
    widget.setAccessibleName(name)
    widget.setMinimumWidth(least_width)
    return widget


NumberBox = TypeVar("NumberBox", QSpinBox, QDoubleSpinBox)


def number_box(box: NumberBox, name: str, least: float, most: float, *, unit: str = "", width: int = 0) -> NumberBox:
    """Return a field for a number, set up: with a decimal point in every country; ``width`` 0 is as needed."""
    kind = type(box.value())
    box.setRange(kind(least), kind(most))
    box.setAccessibleName(name)
    box.setFont(style.text_font(14))
    box.setSuffix(unit)
    box.setLocale(QLocale.c())
    box.setAlignment(Qt.AlignmentFlag.AlignRight)
    box.setKeyboardTracking(False)  # not while a number is half typed
    if width:
        box.setFixedSize(width, 30)
    return box


Part = QWidget | QLayout | int | tuple[QWidget | QLayout | int, int]
"""Of a row or column: a widget, a layout or a space in pixels, also with its share of the room that is left."""

STRETCH: Part = (0, 1)

Box = TypeVar("Box", bound=QBoxLayout)


def fill(box: Box, *parts: Part, spacing: int, margins: tuple[int, int, int, int] = (0, 0, 0, 0)) -> Box:
    """Add parts to a row or column and return it; ``spacing`` is between them, ``margins`` begin at the left."""
    box.setContentsMargins(*margins)
    box.setSpacing(spacing)
    for part in parts:
        what, share = part if isinstance(part, tuple) else (part, 0)
        if part == STRETCH:
            box.addStretch(1)
        elif isinstance(what, int):
            box.addSpacing(what)
        elif isinstance(what, QWidget):
            box.addWidget(what, share)
        else:
            box.addLayout(what, share)
    return box


def write(
    painter: QPainter,
    box: QRectF,
    words: str,
    colour: str | QColor,
    where: Qt.AlignmentFlag | int = LEFT,
    font: QFont | None = None,
) -> None:
    """Write words at a place in a box, in the painter's font where none is given."""
    if font is not None:
        painter.setFont(font)
    painter.setPen(QColor(colour))
    painter.drawText(box, int(where), words)


def elided(painter: QPainter, words: str, width: float) -> str:
    return painter.fontMetrics().elidedText(words, Qt.TextElideMode.ElideRight, int(width))


def translucent(colour: str | QColor, opacity: float) -> QColor:
    result = QColor(colour)
    result.setAlphaF(opacity)
    return result


def rounded(painter: QPainter, box: QRectF, radius: float, ground: str | QColor) -> None:
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(QColor(ground))
    painter.drawRoundedRect(box, radius, radius)


def draw_bar(painter: QPainter, track: QRectF, share: float, ground: str, colour: str | QColor) -> None:
    """Draw a rounded track that is filled from the left to ``share`` (0..1)."""
    radius = track.height() / 2
    rounded(painter, track, radius, ground)
    filled = track.width() * min(max(share, 0.0), 1.0)
    if filled >= 1.0:
        bar = QRectF(track.x(), track.y(), max(filled, track.height()), track.height())
        rounded(painter, bar, radius, colour)


def scrolled(widget: QWidget, *, down_only: bool = False) -> QScrollArea:
    """Return an area that is as wide as the widget wants, and scrolls where there isn't room for all of it."""
    area = QScrollArea()
    area.setWidget(widget)
    area.setWidgetResizable(True)
    area.setFrameShape(QScrollArea.Shape.NoFrame)
    if down_only:
        area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    return area


class Painted(QWidget):
    """A part of a card that paints itself, in `paint`; its tooltip depends on the place.

    What changes ten times a second is painted: each new text of a QLabel makes Qt lay out the whole window again. It
    is opaque, or Qt would paint the card below again each time. ``hint`` is the size that it has room for, not its
    least.
    """

    def __init__(self, hint: tuple[int, int]) -> None:
        super().__init__()
        self.hint = QSize(*hint)
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)

    def sizeHint(self) -> QSize:
        return self.hint

    def paint(self, painter: QPainter) -> None:
        raise NotImplementedError

    def tip_at(self, place: QPointF) -> str:
        """Return the tooltip of a place; "": there is none."""
        return self.toolTip()

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.fillRect(self.rect(), QColor(style.theme.surface))
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        self.paint(painter)

    def event(self, event: QEvent) -> bool:
        if event.type() == QEvent.Type.ToolTip and isinstance(event, QHelpEvent):
            QToolTip.showText(event.globalPos(), plain_tip(self.tip_at(QPointF(event.pos()))), self)
            return True
        return super().event(event)


class CaptionRow(Painted):
    """A caption at the left and a quiet remark at the right."""

    def __init__(self, caption: str, *, tip: str = "") -> None:
        super().__init__((0, 18))
        self.caption = caption
        self.remark = ""
        self.setToolTip(tip)
        self.setFixedHeight(18)

    def set_remark(self, words: str) -> None:
        if words != self.remark:
            self.remark = words
            self.update()

    def paint(self, painter: QPainter) -> None:
        box = QRectF(self.rect())
        write(painter, box, self.caption, style.theme.soft, LEFT, style.caption_font())
        room = box.width() - painter.fontMetrics().horizontalAdvance(self.caption) - 12
        painter.setFont(style.text_font(12))
        write(painter, box, elided(painter, self.remark, room), style.theme.faint, RIGHT)


class Card(QFrame):
    """A panel: a caption with a remark and a "?" for its ``page`` of the documentation; below, a ``column``."""

    def __init__(self, caption: str, page: str, *, remark: str = "", tip: str = "") -> None:
        super().__init__()
        self.setObjectName("card")
        self.caption = CaptionRow(caption, tip=tip)
        self.caption.set_remark(remark)
        self.help = help_button(page, caption)
        self.top = fill(QHBoxLayout(), (self.caption, 1), self.help, spacing=8)
        self.column = fill(QVBoxLayout(self), self.top, spacing=8, margins=(16, 10, 12, 12))


class ChoiceBox(QComboBox):
    """A drop-down list with its own arrow, which a styled QComboBox lacks; ``name`` is for screen readers.

    ``options`` are the values to choose from, with what a person reads.
    """

    def __init__(self, name: str, options: Mapping[Any, str], *, width: int = 84, height: int = 36) -> None:
        super().__init__()
        for value, words in options.items():
            self.addItem(words, value)
        self.setFixedSize(width, height)
        self.setFont(style.text_font(14))
        self.setAccessibleName(name)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)  # after a click the space bar still plays and pauses

    def choose(self, value: object, words: str = "") -> None:
        """Choose a value; one that isn't an option yet becomes one, with these words."""
        values = [self.itemData(row) for row in range(self.count())]
        if value not in values:
            self.addItem(words, value)
        self.setCurrentIndex(values.index(value) if value in values else len(values))

    def paintEvent(self, event: QPaintEvent) -> None:
        super().paintEvent(event)
        painter = QPainter(self)
        colour = style.theme.soft if self.isEnabled() else style.theme.faint
        style.icon("chevron", colour).paint(painter, self.width() - 28, (self.height() - 20) // 2, 20, 20)


class ShorteningLabel(QLabel):
    """One line of words; its middle is left out where it doesn't fit."""

    def __init__(self, font: QFont) -> None:
        super().__init__()
        self.setTextFormat(Qt.TextFormat.PlainText)  # as `label`'s
        self.setFont(font)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Preferred)

    def minimumSizeHint(self) -> QSize:
        return QSize(min(60, super().minimumSizeHint().width()), super().minimumSizeHint().height())

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setPen(QColor(style.theme.text))
        shown = self.fontMetrics().elidedText(self.text(), Qt.TextElideMode.ElideMiddle, self.width())
        painter.drawText(self.rect(), LEFT, shown)


class Dialog(QDialog):
    """A dialog with a heading; shown with `open`, so that the window goes on playing."""

    def __init__(self, title: str, parent: QWidget | None) -> None:
        super().__init__(parent)
        self.setWindowTitle(title)
        self.column = QVBoxLayout(self)
        self.put(label(title, style.bold_font(19), wrap=True))

    def put(self, *parts: Part) -> None:
        """Put parts below those that are there."""
        fill(self.column, *parts, spacing=14, margins=(24, 20, 24, 20))

    def add_buttons(self, accept: str) -> QPushButton:
        """Add a button with these words that accepts, and one that cancels; return the first."""
        self.buttons = box = QDialogButtonBox(QDialogButtonBox.StandardButton.Cancel)
        first = box.addButton(accept, QDialogButtonBox.ButtonRole.AcceptRole)
        first.setObjectName("primary")
        box.accepted.connect(self.accept)
        box.rejected.connect(self.reject)
        self.put(box)
        self.cancel = box.button(QDialogButtonBox.StandardButton.Cancel)
        self.cancel.setAutoDefault(False)  # Enter is for the other
        first.setDefault(True)
        return first

    def add_close(self) -> None:
        self.buttons = box = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        box.rejected.connect(self.reject)
        self.put(box)
