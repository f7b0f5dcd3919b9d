"""Recording what is live: asking where to, saying how it goes and what became of it. Not here: the file (tape.py)."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from PySide6.QtCore import QStandardPaths
from PySide6.QtWidgets import QFileDialog

from livesnn.app.actions import LABELS, Actions
from livesnn.app.dialogs import RecordingDialog
from livesnn.app.layout import WindowLayout
from livesnn.app.player import Player
from livesnn.app.settings import Settings
from livesnn.events.recorder import Recorder as Tape
from livesnn.events.recorder import in_bytes, with_kept
from livesnn.session.session import in_words

SUFFIX = ".aedat4"
ON, OFF = "Stop recording", "Record …"
HOW = "Write what arrives to a file, while it plays"
LIVE_ALONE = "Only events that come live can be recorded: open a camera or a stream"
LITTLE_ROOM_BYTES = 1_000_000_000  # of which a person is told
_SCHEME = re.compile("^(simulate:|tcp://)")
_NOT_IN_A_NAME = re.compile("[^A-Za-z0-9._]+")


class Recorder:
    """Records the player's live source when a person wants it.

    Parameters
    ----------
    window
        Where the state of things is shown.
    player
        Has the source, and the tapes.
    settings
        Keep the pre-roll and the labels.
    on_written
        Called with each file that is complete.
    open_
        Plays such a file.
    """

    def __init__(
        self,
        window: WindowLayout,
        player: Player,
        settings: Settings,
        on_written: Callable[[str], None],
        open_: Callable[[str], None],
    ) -> None:
        self._window = window
        self._player = player
        self._settings = settings
        self._on_written = on_written
        self._open = open_
        self._written: list[Tape] = []  # to be told of when the banner is free
        self._shown = ""
        self._label: str | None = None  # of what is recorded now
        self._offered: object = None  # as the actions say it
        self.folder = documents()  # where the file dialog starts

    def slots(self) -> dict[str, Callable[[], None]]:
        """Return what to do for the actions that are here."""
        labels = {entry.name: lambda number=number: self.label(number) for number, entry in enumerate(LABELS)}
        return {"record": self.toggle, "recording": self.ask_how, **labels}

    def toggle(self) -> None:
        """Ask where to record, or stop recording."""
        if self._player.tape is not None:
            self._player.stop_recording()
        elif self._player.can_record:
            self._ask()

    def start(self, file: str) -> None:
        """Record to a new file, from now on."""
        path = Path(file)
        self.folder = path.parent
        self._label = None
        self._player.record(path)

    def label(self, number: int) -> None:
        """Say that from now on the label of this number, from 0 on, is recorded; no more, where it is already."""
        tape, labels = self._player.tape, self._settings.now.labels
        if tape is not None and number < len(labels):
            self._label = None if self._label == labels[number] else labels[number]
            tape.label(self._label)

    def ask_how(self) -> None:
        """Ask for pre-roll and labels."""
        pre_roll_s, labels = self._player.choices.pre_roll_s, self._settings.now.labels
        dialog = RecordingDialog(pre_roll_s, labels, self._window)
        dialog.chosen.connect(self.set_up)
        self._window.show_dialog(dialog)

    def set_up(self, pre_roll_s: float, labels: Sequence[str]) -> None:
        """Record with this pre-roll and these labels, now and at the next start."""
        self._settings.change(pre_roll_s=pre_roll_s, labels=tuple(labels))
        self.use_pre_roll(pre_roll_s)

    def use_pre_roll(self, seconds: float) -> None:
        """Let recordings begin so long before their start, until the window closes."""
        self._player.apply(replace(self._player.choices, pre_roll_s=seconds))

    def poll(self, actions: Actions) -> None:
        """Show how the recording goes and what became of the last, and what the actions would do."""
        for tape in self._player.take_finished():
            self._tell(tape)
        banner = self._window.banner
        if self._written and (banner.isHidden() or banner.kind == "info"):
            self._show_written(self._written.pop(0))
        self._show(self._player.tape, actions)

    def _ask(self) -> None:
        source = self._player.source
        name = proposed_name(source if isinstance(source, str) else "camera", datetime.now())
        dialog = QFileDialog(self._window, "Record to a new file", str(self.folder))
        dialog.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
        dialog.setNameFilter(f"Recordings (*{SUFFIX})")
        dialog.setDefaultSuffix(SUFFIX)
        dialog.setOption(QFileDialog.Option.DontConfirmOverwrite)  # nothing is ever overwritten
        dialog.selectFile(name)
        dialog.fileSelected.connect(self.start)
        self._window.show_dialog(dialog)

    def _tell(self, tape: Tape) -> None:
        if tape.error is not None:
            self._window.banner.show_error(with_kept(in_words(tape.error), tape))
        else:
            self._written.append(tape)
        if tape.error is None or tape.recorded.events:
            self._on_written(str(tape.path))

    def _show_written(self, tape: Tape) -> None:
        recorded, path = tape.recorded, str(tape.path)
        lost = f", {recorded.dropped:,} dropped" if recorded.dropped else ""
        labels = f" and {recorded.labels} label{'s' * (recorded.labels > 1)}" if recorded.labels else ""
        message = f"{recorded.events:,} events{labels} written to {path}{lost}"
        self._window.banner.show_info(message, "Open it", lambda: self._open(path))

    def _show(self, tape: Tape | None, actions: Actions) -> None:
        if tape is None:
            self._label = None
        words = "" if tape is None else progress(tape, self._label)
        if words != self._shown:
            self._shown = words
            self._window.transport.show_recording(words)
        able, record = self._player.can_record, actions["record"]
        record.setText(OFF if tape is None else ON)
        record.setEnabled(able or tape is not None)
        record.setToolTip(HOW if able else LIVE_ALONE)
        offered = (self._settings.now.labels, self._label, tape is not None)
        if offered != self._offered:
            self._offered = offered
            self._offer_labels(actions, *offered)

    def _offer_labels(
        self, actions: Actions, labels: tuple[str, ...], holds: str | None, recording: bool
    ) -> None:
        for number, entry in enumerate(LABELS):
            known = number < len(labels)
            actions[entry.name].setText(labels[number].replace("&", "&&") if known else entry.text)
            actions[entry.name].setEnabled(known and recording)
            actions.check(entry.name, known and labels[number] == holds)


def progress(tape: Tape, label: str | None) -> str:
    """Say for how long it has recorded, what, how large the file is, what it lacks, and when there is little room."""
    minutes, seconds = divmod(int(tape.seconds), 60)
    words = [f"Recording {minutes}:{seconds:02d}", *([label] if label else []), in_bytes(tape.file_bytes)]
    words.append(f"{tape.dropped:,} dropped")
    if tape.room_bytes < LITTLE_ROOM_BYTES:
        words.append(f"room for {in_bytes(tape.room_bytes)}")
    return " · ".join(words)


def proposed_name(source: str, now: datetime) -> str:
    """Return a file's name from a source and the time: gestures-2026-11-25-141530.aedat4."""
    words = _NOT_IN_A_NAME.sub("-", _SCHEME.sub("", source)).strip("-.") or "recording"
    return f"{words}-{now:%Y-%m-%d-%H%M%S}{SUFFIX}"


def documents() -> Path:
    """Return where a person keeps files."""
    folder = Path(QStandardPaths.writableLocation(QStandardPaths.StandardLocation.DocumentsLocation))
    return folder if folder.is_dir() else Path.home()
