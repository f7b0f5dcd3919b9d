"""The dock "Plots": made at the start, filled when it is first shown, because pyqtgraph takes long to import."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QStandardPaths, Qt, Signal
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import QDialog, QDockWidget, QFileDialog, QMainWindow

from livesnn.session.plot_history import PlotHistory

if TYPE_CHECKING:
    from livesnn.app.widgets.plot_panel import PlotPanel

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
        self._last_name = ""
        window.addDockWidget(Qt.DockWidgetArea.BottomDockWidgetArea, self)
        self.hide()

    def choose(self, names: Sequence[str]) -> None:
        """Show these plots, without a signal."""
        self._names = names

    def showEvent(self, event: QShowEvent) -> None:
        """Make the plots, once."""
        if self.panel is None:
            from livesnn.app.widgets.plot_panel import PlotPanel

            self.panel = PlotPanel(self._names)
            self.panel.chosen_changed.connect(self._tell_chosen)
            self.panel.save_wanted.connect(self.ask_where_to_save)
            self.panel.float.clicked.connect(lambda _=False: self.setFloating(not self.isFloating()))
            self.panel.close_button.clicked.connect(self.close)
            self.setTitleBarWidget(self.panel.bar)
            self.setWidget(self.panel)
        super().showEvent(event)

    def poll(self, history: PlotHistory | None) -> None:
        """Show the newest values."""
        if self.panel is not None and self.isVisible():
            self.panel.poll(history)

    def _tell_chosen(self) -> None:
        if self.panel is not None:
            self.chosen.emit(self.panel.chosen)

    def ask_where_to_save(self, name: str) -> None:
        """Ask for a file to save a plot to; its suffix is the format."""
        pictures = QStandardPaths.writableLocation(QStandardPaths.StandardLocation.PicturesLocation)
        dialog = QFileDialog(self.window(), "Save the plot", str(Path(pictures) / f"{name}.png"))
        dialog.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
        dialog.setNameFilters(list(_FILTERS.values()))
        dialog.selectFile(f"{name}.png")
        suffixes = {words: suffix for suffix, words in _FILTERS.items()}
        dialog.setDefaultSuffix("png")
        dialog.filterSelected.connect(lambda words: dialog.setDefaultSuffix(suffixes[words]))
        dialog.fileSelected.connect(lambda file: self.save(name, Path(file)))
        self._show_dialog(dialog)

    def save(self, name: str, path: Path) -> None:
        """Write a plot to a file, and say so; the suffix .png, .svg or .csv is the format."""
        if path.suffix.lower() not in _FILTERS:
            self._tell(
                f"{path.name}: a plot is saved as .png, .svg or .csv: give the file one of these names", False
            )
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
