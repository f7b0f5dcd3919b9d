"""The classes of a model, each with whether it may be named and a threshold of its own; a box for a share of 1.

Not here: what is decided (infer/decide.py).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from PySide6.QtCore import QLocale, Qt
from PySide6.QtGui import QFocusEvent, QValidator, QWheelEvent
from PySide6.QtWidgets import QDoubleSpinBox, QHeaderView, QTreeWidget, QTreeWidgetItem

from livesnn.app.look import style
from livesnn.app.widgets.parts import NOTHING

BOX_PIXELS = 30
_NAME, _THRESHOLD = range(2)


class ClassRules(QTreeWidget):
    """A row a class: its name with a mark, and its threshold. `itemChanged`: one was marked, or isn't any more."""

    def __init__(self, classes: Collection[str]) -> None:
        super().__init__()
        self.setFont(style.text_font(14))
        self.setAccessibleName("Classes that may be named")
        self.setHeaderLabels(["May be named", "Threshold"])
        self.setRootIsDecorated(False)
        self.setSelectionMode(self.SelectionMode.NoSelection)
        header = self.header()
        header.setStretchLastSection(False)
        header.setSectionResizeMode(_NAME, QHeaderView.ResizeMode.Stretch)
        header.setSectionResizeMode(_THRESHOLD, QHeaderView.ResizeMode.ResizeToContents)
        self._rows = {name: self._row(name) for name in classes}

    def _row(self, name: str) -> tuple[QTreeWidgetItem, OwnShareBox]:
        item = QTreeWidgetItem([style.readable(name)])
        item.setFlags(Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsUserCheckable)
        box = OwnShareBox(f"Threshold of {style.readable(name)}")
        item.setToolTip(_NAME, name)
        self.addTopLevelItem(item)
        self.setItemWidget(item, _THRESHOLD, box)
        return item, box

    def show_rules(self, denied: Collection[str], thresholds: Mapping[str, float]) -> None:
        """Mark all but the denied ones; a class that isn't among ``thresholds`` has none of its own."""
        for name, (_, box) in self._rows.items():
            self.mark(name, marked=name not in denied)
            box.show_own(thresholds.get(name))

    def mark(self, name: str, *, marked: bool) -> None:
        """Mark a class, or not."""
        state = Qt.CheckState.Checked if marked else Qt.CheckState.Unchecked
        self._rows[name][0].setCheckState(_NAME, state)

    def use_threshold(self, percent: float) -> None:
        """Let a threshold of one's own begin at that of all."""
        for _, box in self._rows.values():
            box.usual_percent = percent

    def threshold(self, name: str) -> OwnShareBox:
        """Return the box of a class's threshold."""
        return self._rows[name][1]

    @property
    def denied(self) -> tuple[str, ...]:
        """The classes without a mark."""
        unmarked = Qt.CheckState.Unchecked
        return tuple(name for name, (item, _) in self._rows.items() if item.checkState(_NAME) == unmarked)

    @property
    def thresholds(self) -> dict[str, float]:
        """Of the classes that have one of their own, 0..1."""
        shares = {name: box.own_share for name, (_, box) in self._rows.items()}
        return {name: share for name, share in shares.items() if share is not None}

    def focusInEvent(self, event: QFocusEvent) -> None:  # noqa: N802 (Qt's name)
        """Take the keys for the names, wherever a threshold was edited last."""
        super().focusInEvent(event)
        if (item := self.currentItem()) is not None:
            self.setCurrentItem(item, _NAME)


class ShareBox(QDoubleSpinBox):
    """A share of 1, asked for in per cent; ``name`` is for screen readers too."""

    def __init__(self, name: str, most_percent: float = 100.0) -> None:
        super().__init__()
        self.setAccessibleName(name)
        self.setFont(style.text_font(14))
        self.setDecimals(1)
        self.setRange(0.0, most_percent)
        self.setSingleStep(5.0)
        self.setSuffix(" %")
        self.setFixedSize(96, BOX_PIXELS)
        self.setAlignment(Qt.AlignmentFlag.AlignRight)
        self.setKeyboardTracking(False)  # a number half typed is none yet
        self.setLocale(QLocale.c())  # a point, as `textFromValue` writes it; a comma is taken for one
        self._shown = 0.0

    def show_share(self, share: float) -> None:
        """Show a share, to one digit behind the point."""
        self._shown = share
        self.setValue(100 * share)

    @property
    def share(self) -> float:
        """What is asked for, 0..1: what was shown, to all its digits, until it is another."""
        share = abs(round(self.value() / 100, 3))
        return self._shown if share == round(self._shown, 3) else share

    def validate(self, text: str, position: int) -> tuple[QValidator.State, str, int]:
        """Take a comma for a point."""
        return super().validate(text.replace(",", "."), position)

    def textFromValue(self, value: float) -> str:  # noqa: N802 (Qt's name)
        """Return no more digits than it has."""
        return f"{value:.1f}".removesuffix(".0")


class OwnShareBox(ShareBox):
    """A share that may be none: a step below 0 %, shown as a dash. One step up from it is ``usual_percent``."""

    NONE = -0.1

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.setMinimum(self.NONE)
        self.setSpecialValueText(NOTHING)
        self.setToolTip(f"{NOTHING}, or nothing, is the threshold of all classes")
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.usual_percent = 50.0
        self.setValue(self.NONE)

    @property
    def own_share(self) -> float | None:
        """What is asked for, 0..1, or nothing."""
        return None if self.value() < 0 else self.share

    def show_own(self, share: float | None) -> None:
        """Show a share, or that there is none."""
        if share is None:
            self.setValue(self.NONE)
        else:
            self.show_share(share)

    def validate(self, text: str, position: int) -> tuple[QValidator.State, str, int]:
        """Take the dash for nothing, beside what is typed."""
        bare = self._bare(text)
        if not bare:
            return QValidator.State.Acceptable, text, position
        if NOTHING in text:
            return super().validate(bare, len(bare))
        return super().validate(text, position)

    def valueFromText(self, text: str) -> float:  # noqa: N802 (Qt's name)
        """Return a number, or what stands for none."""
        bare = self._bare(text)
        return super().valueFromText(bare) if bare else self.NONE

    def _bare(self, text: str) -> str:
        return text.replace(NOTHING, "").removesuffix(self.suffix()).strip().removeprefix("-")

    def stepBy(self, steps: int) -> None:  # noqa: N802 (Qt's name)
        """Step; from nothing to what is usual."""
        if self.value() < 0 < steps:
            self.setValue(self.usual_percent)
        else:
            super().stepBy(steps)

    def wheelEvent(self, event: QWheelEvent) -> None:  # noqa: N802 (Qt's name)
        """Leave the wheel to the list, until the box is being edited."""
        if self.hasFocus():
            super().wheelEvent(event)
        else:
            event.ignore()
