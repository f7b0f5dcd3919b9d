"""Recording what the window plays: where to, its labels, how it goes, and how it ended.

What writes the file is in events/recorder.py.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from PySide6.QtCore import QStandardPaths, Signal
from PySide6.QtWidgets import QFileDialog, QWidget

from livesnn.app.actions import Actions
from livesnn.app.settings import MOST_LABELS
from livesnn.app.widgets.basics import ChoiceBox, Dialog, heading, line_edit, note, save_dialog
from livesnn.app.window_layout import WindowLayout
from livesnn.errors import error_message
from livesnn.events.recorder import Recorder, in_bytes, with_kept
from livesnn.files import proposed_name
from livesnn.session.export import AEDAT4

START, STOP = "Record …", "Stop recording"
HOW = "Write the events to a file while they are shown"
LIVE_ONLY = "Only live events can be recorded: open a camera or a stream"
PRE_ROLLS_S = (0.0, 1.0, 2.0, 5.0, 10.0, 30.0)
LITTLE_ROOM_BYTES = 1_000_000_000  # free on the disk, below which the window says so
_PRE_ROLL_HINT = (
    "A recording begins this long before you press the button. Until then the events are kept in memory, "
    "128 MB at most."
)
_LABELS_HINT = (
    f"At most {MOST_LABELS}, separated by commas. While you record, the keys 1 to 9 begin and end them. "
    "livesnn writes them to a table beside the recording, which livesnn train reads."
)
IN_A_LESSON = "A lesson is being recorded"


class RecordingControls:
    """Records the player's live source on request, and shows its progress; the settings keep pre-roll and labels."""

    def __init__(self, window: WindowLayout) -> None:
        self._window, self._player, self._settings = window, window.player, window.settings
        self._written: list[Recorder] = []  # to be shown when the banner is free
        self._label: str | None = None  # of what is being recorded
        self.folder = documents()  # where the file dialog starts

    def why_not(self) -> str:
        """Say why recording can't start or stop now; "": it can."""
        return "" if self._player.recorder is not None or self._player.can_record else LIVE_ONLY

    def toggle(self) -> None:
        if self._player.recorder is not None:
            self._player.stop_recording()
        elif self._player.can_record:
            kinds = {AEDAT4: f"Recordings (*{AEDAT4})"}
            dialog = save_dialog(self._window, "Record to a new file", self._new_file(), kinds, self.start)
            dialog.setOption(QFileDialog.Option.DontConfirmOverwrite)  # nothing is ever overwritten
            self._window.show_dialog(dialog)

    def ask(self) -> None:
        dialog = RecordingDialog(self._player.choices.pre_roll_s, self._settings.now.labels, self._window)
        dialog.chosen.connect(self.use)
        self._window.show_dialog(dialog)

    def use(self, pre_roll_s: float, labels: tuple[str, ...]) -> None:
        if pre_roll_s != self._player.choices.pre_roll_s:  # one from the command line isn't remembered
            self._player.choose(pre_roll_s=pre_roll_s)
        self._settings.change(labels=labels)

    def start(self, path: Path) -> None:
        self.folder = path.parent
        self._label = None
        self._player.record(path)

    def start_unasked(self) -> str:
        """Record to a new file in the folder last used, from now on; return why that can't be, "" if it can."""
        if self._player.recorder is not None:
            return ""
        if not self._player.can_record or self._player.session is None:
            return LIVE_ONLY
        if self._player.session.control.recording:
            return IN_A_LESSON
        self.start(self._new_file())
        return ""

    def label(self, number: int) -> None:
        """Begin the label with this number, counted from 0; if it has begun, end it."""
        recorder, labels = self._player.recorder, self._settings.now.labels
        if recorder is not None and number < len(labels):
            self._label = None if self._label == labels[number] else labels[number]
            recorder.label(self._label)

    def poll(self) -> None:
        for recorder in self._player.take_finished():
            if recorder.error is not None:
                self._window.banner.show_message(with_kept(error_message(recorder.error), recorder), "error")
            else:
                self._written.append(recorder)
            if recorder.error is None or recorder.recorded.events:
                self._window.recording_written.emit(str(recorder.path))
        banner = self._window.banner
        if self._written and (banner.isHidden() or banner.kind == "info"):
            self._show_written(self._written.pop(0))
        self._show_progress(self._player.recorder, self._window.commands)

    def _new_file(self) -> Path:
        source = self._player.source
        return self.folder / proposed_name(source if isinstance(source, str) else "camera", datetime.now())

    def _show_written(self, recorder: Recorder) -> None:
        recorded, path = recorder.recorded, str(recorder.path)
        lost = f", {recorded.dropped:,} dropped" if recorded.dropped else ""
        labels = f" and {recorded.labels} label{'s' * (recorded.labels > 1)}" if recorded.labels else ""
        message = f"{recorded.events:,} events{labels} written to {path}{lost}"
        self._window.banner.show_message(
            message, "info", ("Open it", lambda: self._window.open_requested.emit(path, None))
        )

    def _show_progress(self, recorder: Recorder | None, actions: Actions) -> None:
        if recorder is None:
            self._label = None
        words, transport = "" if recorder is None else progress(recorder, self._label), self._window.transport
        if words != transport.recorded.text():
            transport.show_recording(words)
        actions["record"].setText(START if recorder is None else STOP)
        labels = self._settings.now.labels
        for number in range(MOST_LABELS):
            known, action = number < len(labels), actions[f"label:{number + 1}"]
            action.setText(labels[number].replace("&", "&&") if known else f"Label {number + 1}")
            action.setEnabled(known and recorder is not None)
            action.setChecked(known and labels[number] == self._label)


class RecordingDialog(Dialog):
    """Asks for the pre-roll and the labels of recordings."""

    chosen = Signal(float, tuple)  # pre-roll, seconds; labels

    def __init__(self, pre_roll_s: float, labels: tuple[str, ...], parent: QWidget | None = None) -> None:
        super().__init__("Pre-roll and labels", parent)
        options = sorted({*PRE_ROLLS_S, pre_roll_s})
        self.pre_roll = ChoiceBox(
            "Pre-roll", {each: f"{each:g} s" if each else "None" for each in options}, width=210
        )
        self.pre_roll.choose(pre_roll_s)
        self.labels = line_edit(", ".join(labels), "wave, clap, point", "Labels")
        self.put(heading("Pre-roll"), self.pre_roll, note(_PRE_ROLL_HINT))
        self.put(heading("Labels"), self.labels, note(_LABELS_HINT))
        self.add_buttons("Use these")
        self.resize(480, 0)

    def accept(self) -> None:
        typed = dict.fromkeys(part for each in self.labels.text().split(",") if (part := each.strip()))
        self.chosen.emit(self.pre_roll.currentData(), (*typed,)[:MOST_LABELS])
        super().accept()


def progress(recorder: Recorder, label: str | None) -> str:
    """Return the time recorded, the label, the file's size, the losses, and the free space if there is little."""
    minutes, seconds = divmod(int(recorder.seconds), 60)
    words = [f"Recording {minutes}:{seconds:02d}", *([label] if label else []), in_bytes(recorder.file_bytes)]
    words.append(f"{recorder.dropped:,} dropped")
    if recorder.room_bytes < LITTLE_ROOM_BYTES:
        words.append(f"{in_bytes(recorder.room_bytes)} free")
    return " · ".join(words)


def documents() -> Path:
    folder = Path(QStandardPaths.writableLocation(QStandardPaths.StandardLocation.DocumentsLocation))
    return folder if folder.is_dir() else Path.home()
