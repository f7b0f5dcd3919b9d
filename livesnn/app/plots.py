"""The dock "Plots": made at the start, filled when it is first shown, because pyqtgraph takes long to import."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QSize, QStandardPaths, Qt, Signal
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import QDialog, QDockWidget, QMainWindow, QVBoxLayout, QWidget

from livesnn.app import style
from livesnn.app.widgets.basics import fill, label, save_dialog
from livesnn.session.results import PlotHistory
from livesnn.threads import Worker

if TYPE_CHECKING:
    from livesnn.app.widgets.plot_panel import PlotPanel

HEIGHT = 210  # pixels; less in a low window
_FILTERS = {".png": "Picture (*.png)", ".svg": "Drawing (*.svg)", ".csv": "Table (*.csv)"}


class PlotsDock(QDockWidget):
    """Plots of the session's last minutes, docked below the picture, at a side, or floating.

    ``show_dialog`` shows a dialog over the window, and ``tell`` a message, with its kind, in it.
    """

    chosen = Signal(tuple)  # the names of the plots that a person chose

    def __init__(
        self,
        window: QMainWindow,
        show_dialog: Callable[[QDialog], None],
        tell: Callable[[str, bool], None],
    ) -> None:
        super().__init__("Plots", window)
        self.setObjectName("plots")  # by which Qt remembers where it was
        self.panel: PlotPanel | None = None  # None until it is first shown
        self._show_dialog = show_dialog
        self._tell = tell
        self._names: Sequence[str] = ()
        self._import = Worker("plots", _import_panel)
        self.setTitleBarWidget(QWidget())  # none
        self._waiting = label("Loading …", style.text_font(14), "faint")
        self._waiting.setAlignment(Qt.AlignmentFlag.AlignCenter)
        place = _Place()
        self._column = fill(QVBoxLayout(place), self._waiting, spacing=0)
        self.setWidget(place)
        window.addDockWidget(Qt.DockWidgetArea.BottomDockWidgetArea, self)
        self.hide()

    def choose(self, names: Sequence[str]) -> None:
        """Show these plots, without a signal."""
        self._names = names

    def showEvent(self, event: QShowEvent) -> None:
        """Begin to import what draws plots, once: it takes some 0.3 s, for which the window must not wait."""
        self._import.start()
        super().showEvent(event)

    def poll(self, history: PlotHistory | None) -> None:
        """Make the plots once they can be made, and show the newest values."""
        if not self.isVisible() or self._import.running:
            return
        if self._import.error is not None:
            self.hide()
            self._tell(f"The plots can't be shown ({self._import.error}): reinstall livesnn", False)
            return
        if self.panel is None:
            self._make_panel()
        elif history is not None:
            self.panel.poll(history)

    def end(self) -> None:
        self.hide()
        self._import.close()

    def _make_panel(self) -> None:
        from livesnn.app.widgets.plot_panel import PlotPanel

        self.panel = panel = PlotPanel(self._names)
        panel.chosen_changed.connect(lambda: self.chosen.emit(panel.chosen))
        panel.save_wanted.connect(self.ask_where_to_save)
        panel.float.clicked.connect(lambda _=False: self.setFloating(not self.isFloating()))
        panel.close_button.clicked.connect(self.close)
        self.setTitleBarWidget(panel.bar)
        self._waiting.hide()
        self._column.addWidget(panel)

    def ask_where_to_save(self, name: str) -> None:
        """Ask for a file to save a plot to; its suffix is the format."""
        pictures = QStandardPaths.writableLocation(QStandardPaths.StandardLocation.PicturesLocation)
        dialog = save_dialog(self.window(), "Save the plot", Path(pictures) / f"{name}.png", _FILTERS)
        dialog.fileSelected.connect(lambda file: self.save(name, Path(file)))
        self._show_dialog(dialog)

    def save(self, name: str, path: Path) -> None:
        """Write a plot to a file, and say so; the suffix .png, .svg or .csv is the format."""
        if path.suffix.lower() not in _FILTERS:
            self._tell(f"{path.name}: a plot can't have this format: choose .png, .svg or .csv", False)
            return
        try:
            if self.panel is not None:
                self.panel.save(name, path)
        except OSError as error:
            self._tell(
                f"{path}: the plot can't be saved ({error.strerror or error}): choose another folder", False
            )
        else:
            self._tell(f"Saved {path}", True)


class _Place(QWidget):
    """Where the plots are, or will be."""

    def sizeHint(self) -> QSize:
        """Return the room that plots get, before a person changes it."""
        return QSize(600, min(HEIGHT, self.window().height() // 4))


def _import_panel(stop: threading.Event) -> None:
    import livesnn.app.widgets.plot_panel  # noqa: F401
