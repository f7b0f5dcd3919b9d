"""Several windows in one, as tabs or side by side: each keeps its own menu, controls and source."""

from __future__ import annotations

from typing import cast

from PySide6.QtCore import QEvent, QSignalBlocker, Qt, QTimer, Signal, Slot
from PySide6.QtGui import QCloseEvent, QResizeEvent
from PySide6.QtWidgets import QApplication, QHBoxLayout, QSplitter, QTabBar, QVBoxLayout, QWidget

from livesnn.app import style
from livesnn.app.player import Summary
from livesnn.app.stage import Presenting
from livesnn.app.widgets.basics import button, fill, icon_button, plain_tip
from livesnn.app.window_layout import WindowLayout

LEAST_TILE = 720  # width of a window beside another, pixels
SIDE_BY_SIDE = "Show all sources side by side (Ctrl+B). Keys act on the one that you clicked last."
NEW = "New tab"
NO_ROOM = "Side by side needs a window that is {pixels:,} pixels wide."


class Page(WindowLayout):
    """A window that can be one of several: `window()` is then the whole."""

    closed = Signal(QWidget)  # this window, whose threads have ended
    tabs: Tabs | None = None  # where it is one of several
    presenting: Presenting

    def follow_settings(self) -> None:
        """Show what another window may have changed in the settings."""
        raise NotImplementedError


class Tabs(QWidget):
    """Holds windows from the second on; it takes the place of the first, and closes with the last.

    Where they are tabs, one is shown, and all go on playing. Side by side all are shown, and the keys are for the one
    that has the focus.
    """

    def __init__(self, first: Page) -> None:
        super().__init__()
        self.setObjectName("root")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self._player = first.player  # of the window closed last, which knows what all others did
        self._shown = 0  # pictures in the windows that are closed
        self.bar = QTabBar()
        self.bar.setDrawBase(False)
        self.bar.setExpanding(False)
        self.bar.setElideMode(Qt.TextElideMode.ElideMiddle)
        self.bar.setFont(style.text_font(14))
        self.bar.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.tiled = button(height=30, width=34, name="icon", tip=SIDE_BY_SIDE)
        self.tiled.setCheckable(True)
        style.set_icon(self.tiled, "tiles")
        self._pages = QSplitter(Qt.Orientation.Horizontal)
        self._pages.setChildrenCollapsible(False)
        self._row = QWidget()
        fill(QHBoxLayout(self._row), (self.bar, 1), self.tiled, spacing=8, margins=(10, 6, 16, 0))
        fill(QVBoxLayout(self), self._row, (self._pages, 1), spacing=0)
        self.setGeometry(first.geometry())
        self.setWindowState(first.windowState())
        self.show()  # before the first one goes: Qt ends the application where no window is left
        self.add(first)
        self.bar.currentChanged.connect(self.show_pages)
        self.tiled.toggled.connect(self.show_pages)
        cast(QApplication, QApplication.instance()).focusChanged.connect(self._follow_focus)

    @property
    def pages(self) -> list[Page]:
        return [cast(Page, self._pages.widget(index)) for index in range(self._pages.count())]

    @property
    def current(self) -> Page | None:
        """The window that is shown, or that the keys are for; None: none is left."""
        index = self.bar.currentIndex()
        return self.pages[index] if 0 <= index < self._pages.count() else None

    @property
    def _needed(self) -> int:
        return self._pages.count() * LEAST_TILE

    def add(self, page: Page) -> None:
        page.setWindowState(Qt.WindowState.WindowNoState)  # its own
        page.tabs = self
        page.setMinimumSize(LEAST_TILE, page.minimumHeight())
        self._pages.addWidget(page)
        page.windowTitleChanged.connect(self._show_titles)
        page.closed.connect(self._forget)
        page.presenting.pages.currentChanged.connect(self.show_pages)
        index = self.bar.addTab(page.windowTitle())
        close = icon_button("close", "Close this tab (Ctrl+W)", 20, 14, page.close, name="close")
        box = QWidget()  # so that there is room at its right
        fill(QHBoxLayout(box), close, spacing=0, margins=(0, 0, 8, 0))
        self.bar.setTabButton(index, QTabBar.ButtonPosition.RightSide, box)
        self.bar.setCurrentIndex(index)
        self.show_pages()

    def show_next(self) -> None:
        self.bar.setCurrentIndex((self.bar.currentIndex() + 1) % self.bar.count())

    def tile(self) -> None:
        """Show all side by side, or as tabs again; if there is no room, say so."""
        if self.tiled.isEnabled():
            self.tiled.click()
        elif self.current is not None:
            self.current.banner.show_message(NO_ROOM.format(pixels=self._needed), "info")

    @Slot()
    def show_pages(self) -> None:
        """Show the current window, or all; let the keys be for the current one."""
        fits = self.width() >= self._needed
        self.tiled.setEnabled(fits)
        self.tiled.setToolTip(SIDE_BY_SIDE if fits else NO_ROOM.format(pixels=self._needed))
        current = self.current
        alone = current is not None and current.presenting.on  # its stage is shown
        tiled = fits and self.tiled.isChecked() and not alone
        keys = Qt.ShortcutContext.WidgetWithChildrenShortcut if tiled else Qt.ShortcutContext.WindowShortcut
        for page in self.pages:
            page.setVisible(tiled or page is current)
            for action in page.actions():
                action.setShortcutContext(keys)
        self._pages.setSizes([1] * self._pages.count())  # in proportion
        self._row.setVisible(self.bar.count() > 1 and not alone)
        self._show_titles()
        if current is not None:
            current.follow_settings()
            (current.focusWidget() or current.view).setFocus()

    @Slot()
    def _show_titles(self) -> None:
        for index, page in enumerate(self.pages):
            title = page.windowTitle()
            name = title.removesuffix(" – livesnn") if page.player.source is not None else NEW
            self.bar.setTabText(index, name.replace("&", "&&"))
            self.bar.setTabToolTip(index, plain_tip(title))
        if self.current is not None:
            self.setWindowTitle(self.current.windowTitle())

    @Slot(QWidget, QWidget)
    def _follow_focus(self, _old: QWidget | None, new: QWidget | None) -> None:
        for index, page in enumerate(self.pages):
            if new is not None and page.isAncestorOf(new):
                self.bar.setCurrentIndex(index)

    @Slot(QWidget)
    def _forget(self, page: Page) -> None:
        self._player = page.player
        self._shown += page.view.shown
        with QSignalBlocker(self.bar):  # until the window has gone, too
            self.bar.removeTab(self.pages.index(page))
            page.setParent(None)
        page.deleteLater()  # not whenever Python collects it, which may be in another thread
        if self.bar.count():
            self.show_pages()
        else:
            QTimer.singleShot(0, self, self.close)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        if self.tiled.isEnabled() != (self.width() >= self._needed):
            self.show_pages()

    def changeEvent(self, event: QEvent) -> None:
        if event.type() == QEvent.Type.WindowStateChange:
            for page in self.pages:
                page.changeEvent(event)
        super().changeEvent(event)

    def closeEvent(self, event: QCloseEvent) -> None:
        """Close every window, unless a person may not."""
        if event.spontaneous() and any(page.presenting.locked for page in self.pages):
            event.ignore()
            return
        for page in self.pages:
            page.close()
        event.accept()

    def summary(self) -> Summary:
        return self._player.summary(self._shown)
