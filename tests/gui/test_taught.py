"""What was taught: corrected while it runs, looked at, learned again, renamed and removed."""

from __future__ import annotations

import re
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QLineEdit
from pytestqt.qtbot import QtBot

from livesnn.app.main_window import MainWindow
from livesnn.app.model_dialog import HOW_CHANGED, ModelDialog, TaughtDialog, card_rows
from livesnn.app.teaching import NONE_NAMED, NOT_LIVE, NOT_TAUGHT
from livesnn.events.cameras.network import Address
from livesnn.events.packet import EVENTS_DTYPE, Events, Packet, Resolution
from livesnn.events.recording import open_recording
from livesnn.infer.load import own_models, read_card
from livesnn.outputs.loop import OutputLoop
from livesnn.outputs.tcp import EventOutput
from livesnn.progress import no_notice
from livesnn.teach.correct import teach
from livesnn.teach.lesson import Recordings, lessons_dir, recordings_of
from tests.lessons import BELOW, LEFT, RIGHT, SIDE, clip, write_recording, write_remembering

from .conftest import MakeWindow

Where = tuple[slice, slice]

pytestmark = pytest.mark.timeout(600)
pytest.importorskip("torch", reason="its network is made with torch")

NEARLY_RIGHT = (slice(0, 9), slice(8, 16))
"""The upper part of what is taught as "right", and taken for it."""


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write own models: "halves-right" was taught one gesture, and "halves-two" another one more."""
    folder, base = tmp_path_factory.mktemp("own"), write_remembering(tmp_path_factory.mktemp("halves"))
    (lessons := folder / "lessons").mkdir()
    shown = {"right": RIGHT, "left": LEFT, "below": BELOW}
    files = {name: write_recording(lessons / f"{name}.aedat4", clip(where)) for name, where in shown.items()}
    more = write_recording(lessons / "more.aedat4", clip(RIGHT, seed=3))
    for name, before, out in (
        ("right", base, "halves-right"),
        ("left", folder / "halves-right", "halves-two"),
    ):
        shows = (str(files[name]), *[str(more)] * (name == "right"))
        recordings = Recordings(shows, (str(files["below"]),))
        others = [clip(BELOW)]
        teach(name, [clip(shown[name])], before, folder / out, others=others, recordings=recordings)
    return folder


@pytest.fixture
def own(tmp_path: Path, taught: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of own models, which is this test's."""
    folder = Path(shutil.copytree(taught, tmp_path / "own"))
    monkeypatch.setenv("LIVESNN_MODELS", str(folder))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))  # where the trash is on Linux
    return folder


class Scene:
    """A half of a small picture in which something happens, and which of them it is."""

    def __init__(self, where: Where) -> None:
        self.where = where
        self._random = np.random.default_rng(1)

    def events(self, begins_us: int) -> Events:
        p, y, x = np.nonzero(clip(self.where, seed=int(self._random.integers(1 << 30)), frames=1)[0])
        events = np.zeros(len(x), EVENTS_DTYPE)
        events["t"], events["x"], events["y"], events["p"] = begins_us + 5_000, x, y, p
        return events


@contextmanager
def streaming(scene: Scene) -> Iterator[str]:
    """Yield the address at which a scene can be watched live."""
    stop = threading.Event()

    def play(output: EventOutput) -> None:
        sent, begun_s = 0, time.monotonic()
        while not stop.wait(0.01):
            due = int(100 * (time.monotonic() - begun_s))  # it runs in real time on a busy machine too
            for number in range(sent, due):
                output.send_packet(Packet(scene.events(10_000 * number)))
            sent = due

    with OutputLoop(no_notice) as loop:
        output = EventOutput(loop, Address("127.0.0.1", 0), Resolution(SIDE, SIDE), "scene")
        playing = threading.Thread(target=play, args=(output,))
        playing.start()
        try:
            yield f"tcp://127.0.0.1:{output.address.port}"
        finally:
            stop.set()
            playing.join()


def watch(qtbot: QtBot, window: MainWindow, address: str) -> None:
    window.open(address)
    qtbot.waitUntil(lambda: window.readout.rows.decision == "right", timeout=90_000)


def wait_for(qtbot: QtBot, window: MainWindow, words: str, timeout: int = 180_000) -> str:
    qtbot.waitUntil(lambda: words in window.banner.message.text(), timeout=timeout)
    return window.banner.message.text()


def test_what_was_wrong_is_not_named_any_more_until_that_is_undone(
    qtbot: QtBot, make_window: MakeWindow, own: Path
) -> None:
    window = make_window(own / "halves-right")
    with streaming(Scene(NEARLY_RIGHT)) as address:
        watch(qtbot, window, address)
        qtbot.wait(1500)  # it takes some of it
        qtbot.keyClick(window, Qt.Key.Key_X)
        wait_for(qtbot, window, "Learning that this wasn't right")
        said = wait_for(qtbot, window, "right is corrected: ")
        assert "of the lesson that were held out for a test were recognised" in said
        corrected = own / "halves-right-2"
        assert window.player.model == str(corrected)
        qtbot.waitUntil(
            lambda: window.view.shown > 3 and window.readout.decision.said.number is not None, timeout=90_000
        )
        assert window.readout.rows.decision != "right"
        (error,) = lessons_dir().glob("not-right-*.aedat4")
        before = recordings_of(own / "halves-right")["right"]
        assert recordings_of(corrected)["right"] == Recordings(before.shown, (*before.others, str(error)))
        with open_recording(error) as recording:
            times = np.concatenate([packet.events["t"] for packet in recording])
        assert 1.5e6 < times[-1] - times[0] < 5.1e6
        window.banner.action.click()  # "Undo"
        assert window.player.model == str(own / "halves-right")
        qtbot.waitUntil(lambda: window.readout.rows.decision == "right", timeout=90_000)


def test_what_is_the_gesture_itself_is_not_taken_for_an_error(
    qtbot: QtBot, make_window: MakeWindow, own: Path
) -> None:
    window = make_window(own / "halves-right")
    with streaming(Scene(RIGHT)) as address:
        watch(qtbot, window, address)
        qtbot.wait(1500)  # enough of it to learn from
        window.commands["wrong"].trigger()
        said = wait_for(qtbot, window, "too much like right")
        share = re.search(r"With the correction, only (\d+) % of the", said)
        assert share is not None
        assert int(share[1]) < 50
        assert window.player.model == str(own / "halves-right")
        assert own_models() == ("halves-right", "halves-two")
        assert not [*lessons_dir().glob("not-*")]


def test_closing_the_window_ends_a_correction(qtbot: QtBot, make_window: MakeWindow, own: Path) -> None:
    window = make_window(own / "halves-right")
    with streaming(Scene(RIGHT)) as address:
        watch(qtbot, window, address)
        window.commands["wrong"].trigger()
        wait_for(qtbot, window, "Learning that this wasn't right")
        window.close()  # the fixture of all tests looks for threads
    assert own_models() == ("halves-right", "halves-two")
    (kept,) = lessons_dir().glob("not-*")
    with closing(open_recording(kept)) as recording:
        assert sum(packet.events.size for packet in recording)


def test_where_nothing_can_be_corrected_the_window_says_why(qtbot: QtBot, make_window: MakeWindow, own: Path) -> None:
    window = make_window()
    window.commands["wrong"].trigger()
    wait_for(qtbot, window, NOT_TAUGHT)
    window.set_model(str(own / "halves-right"), "onnx")
    window.open(lessons_dir() / "right.aedat4")
    qtbot.waitUntil(lambda: window.player.opened is not None, timeout=90_000)
    window.commands["wrong"].trigger()
    wait_for(qtbot, window, NOT_LIVE)
    with streaming(Scene(LEFT)) as address:
        window.open(address)
        qtbot.waitUntil(lambda: window.player.can_record, timeout=90_000)
        window.commands["wrong"].trigger()
        wait_for(qtbot, window, NONE_NAMED)
    assert not [*lessons_dir().glob("not-*")]


def test_without_the_recordings_of_its_lessons_a_gesture_is_not_corrected(
    qtbot: QtBot, make_window: MakeWindow, own: Path
) -> None:
    for name in ("right", "more"):
        (lessons_dir() / f"{name}.aedat4").unlink()
    window = make_window(own / "halves-right")
    with streaming(Scene(RIGHT)) as address:
        watch(qtbot, window, address)
        window.commands["wrong"].trigger()
        wait_for(qtbot, window, "No recording shows right")
    assert not [*lessons_dir().glob("not-*")]


def opened(qtbot: QtBot, model: Path) -> tuple[ModelDialog, TaughtDialog]:
    models = ModelDialog(str(model), "auto")
    qtbot.addWidget(models)
    models.show()
    assert models.taught.isEnabled()
    models.taught.click()
    (dialog,) = models.findChildren(TaughtDialog)
    return models, dialog


def files(dialog: TaughtDialog) -> list[str]:
    return [dialog.files.item(row).text() for row in range(dialog.files.count())]


def test_a_taught_gesture_is_listed_with_its_recordings(qtbot: QtBot, own: Path) -> None:
    _, dialog = opened(qtbot, own / "halves-two")
    gestures = [dialog.gestures.item(row).text() for row in range(dialog.gestures.count())]
    assert gestures == ["right", "left"]
    assert files(dialog) == ["right.aedat4  ·  shows it", "more.aedat4  ·  shows it", "below.aedat4  ·  isn't it"]
    assert "100 % of the 0.3 s of the lesson" in dialog.words.text()
    rows = dict(card_rows(read_card(own / "halves-two")))
    assert rows["Taught: left"].endswith("Learned from 12 windows.")
    dialog.gestures.setCurrentRow(1)
    assert files(dialog)[0] == "left.aedat4  ·  shows it"
    (lessons_dir() / "right.aedat4").unlink()
    dialog.gestures.setCurrentRow(0)
    assert files(dialog)[0] == "right.aedat4  ·  missing"


def test_a_taught_gesture_is_renamed_learned_again_and_removed(qtbot: QtBot, own: Path) -> None:
    models, dialog = opened(qtbot, own / "halves-two")
    assert dialog.said.text() == HOW_CHANGED
    dialog.name.click()
    field = dialog.gestures.findChild(QLineEdit)
    qtbot.keyClicks(field, "east")
    qtbot.keyClick(field, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: "right is now called east" in dialog.said.text(), timeout=180_000)
    assert models.models.currentItem().text() == "halves-two-2"
    assert read_card(own / "halves-two-2").classes == ("up", "other", "east", "left")
    assert dialog.gestures.currentItem().text() == "east"
    dialog.files.item(1).setCheckState(Qt.CheckState.Unchecked)
    dialog.again.click()
    qtbot.waitUntil(lambda: "east is learned" in dialog.said.text(), timeout=180_000)
    assert read_card(own / "halves-two-3").taught["east"] == 12
    dialog.remove.click()
    qtbot.waitUntil(lambda: "east is removed" in dialog.said.text(), timeout=180_000)
    assert not dialog.remove.isEnabled()  # there is only one left
    assert models.models.currentItem().text() in own_models()
    assert read_card(own / models.models.currentItem().text()).classes == ("up", "other", "left")


def test_a_name_that_is_taken_changes_nothing(qtbot: QtBot, own: Path) -> None:
    _, dialog = opened(qtbot, own / "halves-two")
    dialog.gestures.item(0).setText("left")
    qtbot.waitUntil(lambda: "knows left already" in dialog.said.text(), timeout=180_000)
    assert dialog.gestures.item(0).text() == "right"
    assert own_models() == ("halves-right", "halves-two")


def test_closing_the_models_ends_what_is_being_learned(qtbot: QtBot, own: Path) -> None:
    models, dialog = opened(qtbot, own / "halves-two")
    dialog.again.click()
    models.reject()  # the fixture of all tests looks for threads
    assert own_models() == ("halves-right", "halves-two")
