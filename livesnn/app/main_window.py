"""The window: does what a person asks for by menu, key, button or drop, and remembers it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import cast

from PySide6.QtCore import QByteArray, QEvent, QMimeData, Qt, QTimer
from PySide6.QtGui import QCloseEvent, QDragEnterEvent, QDropEvent
from PySide6.QtWidgets import QApplication, QPushButton

from livesnn.app import style
from livesnn.app.about import about
from livesnn.app.acting import Acting
from livesnn.app.actions import Action, Actions, fill_scenes
from livesnn.app.comparing import Comparing
from livesnn.app.decisions_dialog import DecisionsDialog
from livesnn.app.demo import DEMO, model_for
from livesnn.app.exporting import Exporting
from livesnn.app.model_dialog import ModelDialog
from livesnn.app.player import Player, Summary
from livesnn.app.plots_dock import PlotsDock
from livesnn.app.recording import HOW, START, RecordingControls
from livesnn.app.sensitivity import SET_UP, SensitivityDock
from livesnn.app.session_display import SessionDisplay
from livesnn.app.settings import MOST_LABELS, SettingsFile, ThemeName
from livesnn.app.source_dialogs import SourceChooser, readable_source
from livesnn.app.stage import Presenting
from livesnn.app.tabs import Page, Tabs
from livesnn.app.teaching import Correcting, Teaching
from livesnn.app.widgets.basics import open_docs
from livesnn.console import capitalised
from livesnn.errors import ModelError
from livesnn.events.filters import Orientation
from livesnn.events.picture import PALETTES
from livesnn.infer.load import Engine, read_card
from livesnn.infer.model import Model
from livesnn.session.session import Session, SourceLike
from livesnn.simulate import DIGITS_URI

POLL_MS = 16
TURN = "Rotate clockwise"
ONE_TAB = "There is only one tab. Open another source in a new one with Ctrl+Shift+N."
ZOOM_STEP = 1.25


class MainWindow(Page):
    """The window with everything it does; the parameters are those of `Player`.

    Without ``settings``, it begins with the defaults and nothing is remembered.
    """

    def __init__(
        self, model: str | Model | None = None, *, engine: Engine | None = None, settings: SettingsFile | None = None
    ) -> None:
        super().__init__()
        self.settings = settings or SettingsFile()
        self.player = Player(model, engine, self.settings)
        self.plots = PlotsDock(self)
        self.source_chooser = SourceChooser(self)
        self.recording = RecordingControls(self)
        self.session_display = SessionDisplay(self)
        self.exporting = Exporting(self)
        self.teaching, self.correcting = Teaching(self), Correcting(self)
        self.presenting = Presenting(self)
        self.acting = Acting(self, self.recording)
        self.sensitivity = SensitivityDock(self)
        self.comparing = Comparing(self, self.session_display)
        self.commands = Actions(self, self.menuBar(), tuple(self._actions()))
        self._polled = (
            self.session_display,
            self.plots,
            self.comparing,
            self.recording,
            self.exporting,
            self.teaching,
            self.correcting,
            self.presenting,
            self.acting,
            self.sensitivity,
            self.commands,
        )
        self._connect()
        now = self.settings.now
        self.restoreGeometry(QByteArray(now.geometry))
        for name, splitter in self.splitters.items():
            if name in now.splitters:
                splitter.restoreState(QByteArray(now.splitters[name]))
        self.restoreState(QByteArray(now.docks))
        self._show_choices()
        self.follow_settings()
        self.timer = QTimer(self)
        self.timer.timeout.connect(self.poll)
        self.timer.start(POLL_MS)

    @property
    def session(self) -> Session | None:
        return self.player.session

    def _actions(self) -> Iterator[Action]:
        player, transport, sources, canvas = self.player, self.transport, self.source_chooser, self.view.canvas
        yield Action("open", "File", "Open a recording …", ("Ctrl+O",), sources.choose_file)
        yield Action("camera", "File", "Connect a camera …", ("Ctrl+K",), sources.choose_camera)
        yield Action("webcam", "File", "Use a webcam …", ("Ctrl+Shift+K",), sources.use_webcam)
        yield Action("stream", "File", "Network stream …", ("Ctrl+N",), sources.choose_stream)
        yield Action("demo", "File", "Watch the demo", ("Ctrl+D",), lambda: sources.watch(DEMO))
        yield Action("turning", "File", "Watch turning digits", ("Ctrl+Shift+T",), lambda: sources.watch(DIGITS_URI))
        record = self.recording
        yield Action("record", "File", START, ("Ctrl+S",), record.toggle, rule=True, help=HOW, why_not=record.why_not)
        yield Action("recording", "File", "Pre-roll and labels …", ("Ctrl+Shift+S",), record.ask)
        for number in range(1, MOST_LABELS + 1):
            do = partial(record.label, number - 1)
            yield Action(f"label:{number}", "File/Label", f"Label {number}", (str(number),), do, "label")
        yield from self.exporting.actions()
        yield Action("new_tab", "File", "New tab for another source", ("Ctrl+Shift+N",), self.new_tab, rule=True)
        yield Action("next_tab", "File", "Next tab", ("Ctrl+Tab",), lambda: self._in_tabs(Tabs.show_next))
        yield Action("side_by_side", "File", "Tabs side by side", ("Ctrl+B",), lambda: self._in_tabs(Tabs.tile))
        yield Action("close_tab", "File", "Close this tab", ("Ctrl+W",), self.close)
        yield Action("quit", "File", "Quit", ("Ctrl+Q",), lambda: self.window().close(), rule=True)

        yield Action("play", "Playback", "Play or pause", ("Space",), player.toggle)
        yield Action("back", "Playback", "Back by a second", ("Left",), lambda: player.skip(-1.0), rule=True)
        yield Action("on", "Playback", "Forward by a second", ("Right",), lambda: player.skip(1.0))
        yield Action("frame_back", "Playback", "One frame back", (",",), lambda: player.step(-1))
        yield Action("frame_on", "Playback", "One frame forward", (".",), lambda: player.step(1))
        yield Action("slower", "Playback", "Slower", ("[",), lambda: transport.change_speed(-1), rule=True)
        yield Action("faster", "Playback", "Faster", ("]",), lambda: transport.change_speed(1))
        yield Action("loop", "Playback", "Repeat", ("L",), lambda on: self.choose(loop=on), "toggle")

        for number, name in enumerate(PALETTES, start=1):
            do = partial(self.choose_view, palette=name)
            yield Action(f"palette:{name}", "View/Palette", capitalised(name), (f"Ctrl+{number}",), do, "palette")
        fade, accumulate = partial(self.choose_view, mode="decay"), partial(self.choose_view, mode="accumulate")
        yield Action("mode:decay", "View", "Events fade", ("D",), fade, "mode", rule=True)
        yield Action("mode:accumulate", "View", "Events accumulate", ("A",), accumulate, "mode")
        larger, smaller = partial(canvas.zoom_about, ZOOM_STEP), partial(canvas.zoom_about, 1 / ZOOM_STEP)
        yield Action("zoom_in", "View", "Zoom in", ("+", "=", "Ctrl++", "Ctrl+="), larger, rule=True)
        yield Action("zoom_out", "View", "Zoom out", ("-", "Ctrl+-"), smaller)
        yield Action("fit", "View", "Whole picture", ("0", "Ctrl+0"), canvas.fit)
        words = "Mirror the picture"
        yield Action(
            "mirror_picture", "View", words, ("M",), lambda on: self.choose(mirrored=on), "toggle", rule=True
        )
        themes: dict[ThemeName, tuple[str, str]] = {
            "system": ("Same as the system", "Y"),
            "light": ("Light", "L"),
            "dark": ("Dark", "D"),
        }
        for theme, (words, key) in themes.items():
            do = partial(self.set_theme, theme)
            yield Action(f"theme:{theme}", "View/Theme", words, (f"Ctrl+Shift+{key}",), do, "theme")
        yield Action("plots", "View", "Plots", ("Ctrl+P",), self.plots.setVisible, "toggle", rule=True)
        yield Action("stage", "View", "Stage", ("F11",), self.presenting.toggle, rule=True)
        yield Action("full_screen", "View", "Full screen", ("Shift+F11",), self.set_full_screen, "toggle")
        yield Action("layout", "View", "Reset the size of the panels", ("Ctrl+Shift+0",), self.lay_out)
        yield Action("close_message", "View", "Close the message, the stage or full screen", ("Esc",), self.leave)

        turn, swap, can_turn = self._turn, self._swap, self._why_not_turned
        yield Action("turn", "Camera", TURN, ("Ctrl+R",), turn, why_not=can_turn)
        words, keys = "Swap left and right", ("Ctrl+Shift+M",)
        yield Action("mirrored_camera", "Camera", words, keys, swap, "toggle", why_not=can_turn)
        upright = partial(self._mount, Orientation())
        yield Action("upright", "Camera", "Original orientation", ("Ctrl+Shift+R",), upright, why_not=can_turn)
        yield Action(
            "denoise", "Camera", "Filter noise", ("N",), lambda on: self.choose(denoise=on), "toggle", rule=True
        )
        yield Action("learn_hot_pixels", "Camera", "Learn hot pixels again", ("H",), player.learn_hot_pixels)
        words, show, can = "Sensitivity", self.sensitivity.setVisible, self.sensitivity.why_not
        yield Action("sensitivity", "Camera", words, ("S",), show, "toggle", rule=True, help=SET_UP, why_not=can)

        yield Action("model", "Network", "Model and engine …", ("Ctrl+M",), self.choose_model)
        yield Action("decisions", "Network", "Decisions …", ("Ctrl+T",), self.choose_decisions)
        yield Action("compare", "Network", "Compare with …", ("Ctrl+Shift+V",), self.comparing.ask)
        yield Action("teach", "Network", "Teach a gesture …", ("Ctrl+G",), self.teaching.ask)
        yield Action("wrong", "Network", "That was wrong", ("X",), self.correcting.begin)
        yield Action("act", "Network", "Act on gestures …", ("Ctrl+Shift+A",), self.acting.ask)
        carry, reset = partial(self.choose, state_mode="carry"), partial(self.choose, state_mode="reset")
        yield Action("state:carry", "Network", "Carry the state", ("C",), carry, "state", rule=True)
        yield Action("state:reset", "Network", "Reset the state each window", ("W",), reset, "state")
        yield Action("reset", "Network", "Reset the state now", ("R",), player.reset)

        yield Action("docs", "Help", "Documentation", ("F1", "?"), lambda: open_docs("window.md"))
        yield Action("about", "Help", "About livesnn", ("Ctrl+F1",), lambda: self.show_dialog(about(self)))

    def _connect(self) -> None:
        transport, player = self.transport, self.player
        self.open_requested.connect(self.open)
        self.model_requested.connect(self.set_model)
        self.source_opened.connect(self._show_opened)
        self.recording_written.connect(self.remember)
        transport.line.seek_requested.connect(player.seek)
        transport.speed.currentIndexChanged.connect(lambda _: player.choose(speed=transport.speed.currentData()))
        does: tuple[tuple[QPushButton, str], ...] = (
            (transport.play, "play"),
            (transport.back, "frame_back"),
            (transport.forward, "frame_on"),
            (transport.loop, "loop"),
            (transport.record, "record"),
            (self.state_panel.reset, "reset"),
            (self.header.model, "model"),
            *((button, f"state:{mode}") for mode, button in self.state_panel.modes.items()),
            *((button, way) for way, button in self.view.page.choices.items()),
        )
        for button, action in does:
            button.clicked.connect(self.commands[action].trigger)
        self.plots.visibilityChanged.connect(lambda _: self.commands["plots"].setChecked(not self.plots.isHidden()))
        self.header.set_open_menu(self.commands.sources)
        fill_scenes(self.commands.scenes, self.source_chooser.watch)

    def follow_settings(self) -> None:
        """Let the menus say what another window may have changed."""
        self._show_recent()
        self.commands[f"theme:{self.settings.now.theme}"].setChecked(True)
        self.commands["full_screen"].setChecked(self.window().isFullScreen())

    def new_tab(self) -> MainWindow:
        """Return an empty window for another source, a tab beside this one."""
        tabs = self.tabs or Tabs(self)
        models = self.player.models
        model = models.chosen_name if models.by_person else None
        other = MainWindow(model, engine=models.engine, settings=self.settings)
        tabs.add(other)
        return other

    def _in_tabs(self, do: Callable[[Tabs], None]) -> None:
        if self.tabs is not None:
            do(self.tabs)
        else:
            self.banner.show_message(ONE_TAB, "info")

    def open(self, source: SourceLike, model: str | None = None, orientation: Orientation | None = None) -> None:
        """Play a source; an error is shown as a banner, and what plays goes on. Parameters as for `Player.play`."""
        if isinstance(source, str | Path):
            self.source_chooser.visit(str(source))
        self.player.play(source, model, orientation)
        self._show_choices()
        self.session_display.begin()

    def choose_model(self) -> None:
        models = self.player.models
        dialog = ModelDialog(models.name, models.engine, self, chosen=models.chosen_name)
        dialog.chosen.connect(self.set_model)
        self.show_dialog(dialog)

    def set_model(self, model: str, engine: Engine) -> None:
        self.player.set_model(model, engine)
        self.session_display.begin()

    def choose_decisions(self) -> None:
        card, choices = self.player.card, self.player.choices
        dialog = DecisionsDialog(choices.decider if card is None else choices.decider_of(card), card, self)
        dialog.chosen.connect(lambda decider: self.player.choose_decider(decider, card))
        self.show_dialog(dialog)

    def choose(self, **fields: object) -> None:
        self.player.choose(**fields)
        self._show_choices()

    def choose_view(self, **fields: str) -> None:
        self.choose(view=replace(self.player.choices.view, **fields))  # type: ignore[arg-type]  # both are str

    def set_theme(self, theme: ThemeName) -> None:
        self.settings.change(theme=theme)
        self.commands[f"theme:{theme}"].setChecked(True)
        style.use(theme, cast(QApplication, QApplication.instance()))

    def set_full_screen(self, full: bool) -> None:
        """Fill the screen, or go back to the window as it was, which may be maximised."""
        now, filling = self.window().windowState(), Qt.WindowState.WindowFullScreen
        self.window().setWindowState(now | filling if full else now & ~filling)

    def leave(self) -> None:
        if self.presenting.on:
            self.presenting.leave()
        elif self.banner.isVisible():
            self.banner.hide()
        elif self.window().isFullScreen():
            self.set_full_screen(False)

    def _turn(self) -> None:
        if (now := self.player.orientation) is not None:
            self._mount(replace(now, quarter_turns=(now.quarter_turns + 1) % 4))

    def _swap(self, mirrored: bool) -> None:
        if (now := self.player.orientation) is not None:
            self._mount(replace(now, mirrored=mirrored))

    def _mount(self, orientation: Orientation) -> None:
        self.player.turn(orientation)
        self._show_choices()

    def _why_not_turned(self) -> str:
        return "" if self.player.orientation is not None else "Open a source of events first"

    def _show_choices(self) -> None:
        orientation, choices = self.player.orientation, self.player.choices
        palette = PALETTES[choices.view.palette]
        for shows in (self.view, self.window_panel.strip, self.presenting.stage):
            shows.set_palette(palette)
        for chosen in (f"palette:{choices.view.palette}", f"mode:{choices.view.mode}", f"state:{choices.state_mode}"):
            self.commands[chosen].setChecked(True)
        self.commands["loop"].setChecked(choices.loop)
        self.commands["denoise"].setChecked(choices.denoise)
        self.commands["mirror_picture"].setChecked(choices.mirrored)
        self.transport.loop.setChecked(choices.loop)
        self.state_panel.show_mode(choices.state_mode)
        self.numbers.table.show_row("filtered", choices.denoise)
        self.view.canvas.set_mirrored(choices.mirrored)
        shown = orientation or Orientation()
        changes = ["noise filtered"] * choices.denoise + [shown.words]
        self.view.canvas.set_changes(*changes if orientation is not None else ())  # a video has neither
        self.commands["turn"].setText(f"{TURN} (now {90 * shown.quarter_turns}°)" if shown.quarter_turns else TURN)
        self.commands["mirrored_camera"].setChecked(shown.mirrored)

    def _show_opened(self) -> None:
        self._show_choices()
        if isinstance(self.player.source, str | Path):
            self.remember(str(self.player.source))

    def remember(self, source: str) -> None:
        self.source_chooser.remember(source)
        self._show_recent()

    def _show_recent(self) -> None:
        self.commands.show_recent(
            self.settings.now.recent,
            readable_source,
            lambda source: self.open(source, model_for(source, self.player.models.chosen_name)),
            self._forget_recent,
        )

    def _forget_recent(self) -> None:
        self.settings.change(recent=())
        QTimer.singleShot(0, self, self._show_recent)  # not while the menu is used

    def poll(self) -> None:
        for part in self._polled:
            part.poll()

    def changeEvent(self, event: QEvent) -> None:
        """Follow the system, which may leave full screen by itself."""
        if event.type() == QEvent.Type.WindowStateChange:
            self.commands["full_screen"].setChecked(self.window().isFullScreen())
        super().changeEvent(event)

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        if files_of(event.mimeData()):
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:
        if not (files := files_of(event.mimeData())):
            return
        event.acceptProposedAction()
        recordings, model, wrong = dropped(files)
        said = [wrong]
        if model:
            self.set_model(model, self.player.models.engine)
            said.append(f"Now using the model {Path(model).name}")
        if recordings:
            self.open(recordings[0])
        if len(recordings) > 1:
            said.append(f"{Path(recordings[0]).name} plays: open each of the others in a tab (Ctrl+Shift+N)")
        if words := "\n".join(filter(None, said)):
            self.banner.show_message(words, "error" if wrong else "info")

    def closeEvent(self, event: QCloseEvent) -> None:
        if self.presenting.locked and event.spontaneous():  # by a person
            event.ignore()
            return
        self.timer.stop()
        self.presenting.leave()
        splitters = {name: splitter.saveState().data() for name, splitter in self.splitters.items()}
        if self.splitters["cards"].isHidden():  # the window is short now: keep what it was before
            splitters["rows"] = self.settings.now.splitters.get("rows", b"")
        docks = self.saveState().data()
        self.settings.change(geometry=self.window().saveGeometry().data(), splitters=splitters, docks=docks)
        self.hide()  # threads may take seconds to end
        self.plots.hide()
        if self.dialog is not None:
            self.dialog.close()
        self.correcting.end()
        self.session_display.end()
        self.exporting.end()
        others = [] if self.tabs is None else [page for page in self.tabs.pages if page is not self]
        self.player.end(heir=others[0].player if others else None)
        self.acting.close()
        event.accept()
        self.closed.emit(self)

    def summary(self) -> Summary:
        return self.player.summary(self.view.shown)


def files_of(mime: QMimeData) -> list[Path]:
    return [Path(url.toLocalFile()) for url in mime.urls() if url.isLocalFile()]


def dropped(paths: Sequence[Path]) -> tuple[list[str], str, str]:
    """Return the files to play, the folder of a model, and why a folder is none; "" where there is no such thing."""
    recordings, model, wrong = [], "", ""
    for path in paths:
        if not path.is_dir() and path.suffix not in (".onnx", ".safetensors"):
            recordings.append(str(path))
            continue
        folder = str(path if path.is_dir() else path.parent)
        try:
            read_card(folder)
            model = model or folder
        except ModelError as error:
            wrong = wrong or str(error)
    return recordings, model, wrong
