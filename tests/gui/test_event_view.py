"""The event view: pictures whole, zoomed, moved and mirrored, its words, and the ways it offers."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pytest
from PySide6.QtCore import QPoint, QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QImage, QWheelEvent
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from livesnn.app.session_display import WELCOME
from livesnn.app.widgets.event_view import LARGEST_ZOOM, NOTCHES_TO_DOUBLE, WAYS, EventView, crop
from livesnn.card import InputSpec, SliceRule
from livesnn.events.packet import EVENTS_DTYPE, Packet, Resolution
from livesnn.events.picture import PALETTES, Palette
from livesnn.events.slicer import Slicer

RED, BLUE = (230, 20, 30), (20, 40, 220)


@pytest.fixture
def view(qtbot: QtBot) -> EventView:
    view = EventView()
    qtbot.addWidget(view)
    view.resize(430, 380)
    view.show()
    qtbot.waitExposed(view)
    return view


def halves(width: int = 40, height: int = 30) -> npt.NDArray[np.uint8]:
    """Return a picture that is red at the left and blue at the right."""
    rgb = np.empty((height, width, 3), np.uint8)
    rgb[:, : width // 2], rgb[:, width // 2 :] = RED, BLUE
    return rgb


def painted(view: EventView) -> QImage:
    return view.canvas.grab().toImage()


def colour(image: QImage, x: float, y: float) -> tuple[int, int, int]:
    found: QColor = image.pixelColor(round(x), round(y))
    return found.red(), found.green(), found.blue()


def wheel(view: EventView, at: QPointF, notches: int) -> None:
    event = QWheelEvent(
        at,
        view.canvas.mapToGlobal(at),
        QPoint(),
        QPoint(0, 120 * notches),
        Qt.MouseButton.NoButton,
        Qt.KeyboardModifier.NoModifier,
        Qt.ScrollPhase.NoScrollPhase,
        False,
    )
    QApplication.sendEvent(view.canvas, event)


def picture_point(view: EventView, at: QPointF) -> QPointF:
    """Return the point of the picture that is at a point of the canvas."""
    return (at - view.canvas.area.topLeft()) / view.canvas.scale


def test_a_picture_is_painted_pixel_for_pixel_as_large_as_fits(view: EventView) -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (30, 40, 3)).astype(np.uint8)
    view.show_picture(rgb)
    image, area = painted(view), view.canvas.area
    assert min(view.canvas.width() - area.width(), view.canvas.height() - area.height()) == pytest.approx(2)
    for y in range(1, 29):
        for x in range(1, 39):
            middle = area.topLeft() + QPointF(x + 0.5, y + 0.5) * view.canvas.scale
            assert colour(image, middle.x() - 0.5, middle.y() - 0.5) == tuple(rgb[y, x])


def test_a_picture_of_any_memory_layout_is_painted_and_may_be_changed_after_it_was_shown(view: EventView) -> None:
    rgb = np.ascontiguousarray(halves(42, 31)[:, ::-1])[:, 1:]
    view.show_picture(rgb)
    rgb[:] = 0
    assert colour(painted(view), view.canvas.width() / 4, view.canvas.height() / 2) == BLUE
    assert view.has_picture


def test_every_picture_shown_is_counted_and_every_one_painted_is_reported_once(view: EventView) -> None:
    reported: list[float] = []
    view.canvas.painted.connect(reported.append)
    view.show_picture(halves(), arrived_s=1.5)
    view.show_picture(halves(), arrived_s=2.5)
    assert reported == []
    view.canvas.repaint()
    view.canvas.repaint()
    assert reported == [2.5]
    view.show_picture(halves(), arrived_s=3.5)
    view.canvas.repaint()
    assert reported == [2.5, 3.5]
    assert view.shown == 3


@pytest.mark.parametrize("palette", PALETTES.values(), ids=lambda palette: palette.name)
def test_the_ground_and_the_legend_are_the_palette_s(view: EventView, palette: Palette) -> None:
    view.show_picture(halves(40, 10))
    view.set_palette(palette)
    assert colour(painted(view), 20, 20) == palette.background
    whole = view.grab().toImage()
    assert colour(whole, view.width() / 2, 8) == palette.background
    row = {whole.pixelColor(x, view.height() - 20).name() for x in range(view.width())}
    assert {QColor(*palette.on).name(), QColor(*palette.off).name()} <= row or not palette.tells_polarity
    assert ("darker (OFF)" in view.legend.text()) == palette.tells_polarity


def test_the_wheel_zooms_about_the_cursor(view: EventView) -> None:
    view.show_picture(halves())
    at = QPointF(100, 170)
    before = picture_point(view, at)
    wheel(view, at, NOTCHES_TO_DOUBLE)
    assert view.canvas.zoom == pytest.approx(2)
    after = picture_point(view, at)
    assert (after.x(), after.y()) == pytest.approx((before.x(), before.y()))
    wheel(view, at, -NOTCHES_TO_DOUBLE)
    assert view.canvas.zoom == pytest.approx(1)


def test_zoom_ends_at_a_few_pixels_painted_crisp_and_at_the_whole_picture(view: EventView, qtbot: QtBot) -> None:
    view.canvas.zoom_about(2)  # nothing: there is no picture
    view.show_picture(halves())
    whole = view.canvas.area
    view.canvas.zoom_about(1e9)
    assert view.canvas.zoom == LARGEST_ZOOM
    image = painted(view)
    row = [colour(image, x, view.canvas.height() / 2) for x in range(view.canvas.width())]
    changes = sum(left != right for left, right in pairwise(row))
    assert (row[0], row[-1], changes) == (RED, BLUE, 1)
    qtbot.mouseDClick(view.canvas, Qt.MouseButton.LeftButton)
    assert view.canvas.area == whole
    view.canvas.zoom_about(1e-9)
    assert view.canvas.zoom == 1


def test_dragging_moves_the_picture_but_not_away(view: EventView, qtbot: QtBot) -> None:
    view.show_picture(halves())
    view.canvas.zoom_about(4)
    middle = QPoint(view.canvas.width() // 2, view.canvas.height() // 2)
    held = picture_point(view, QPointF(middle))
    qtbot.mousePress(view.canvas, Qt.MouseButton.LeftButton, pos=middle)
    qtbot.mouseMove(view.canvas, middle + QPoint(60, -30))
    moved = picture_point(view, QPointF(middle + QPoint(60, -30)))
    assert (moved.x(), moved.y()) == pytest.approx((held.x(), held.y()))
    qtbot.mouseMove(view.canvas, middle + QPoint(90_000, 90_000))
    qtbot.mouseRelease(view.canvas, Qt.MouseButton.LeftButton, pos=middle)
    assert (view.canvas.area.left(), view.canvas.area.top()) == pytest.approx((0, 0))
    qtbot.mouseMove(view.canvas, middle)
    assert view.canvas.area.left() == pytest.approx(0)  # let go of


def test_zoom_stays_from_picture_to_picture_until_the_sensor_is_another(view: EventView) -> None:
    view.show_picture(halves())
    view.canvas.zoom_about(3)
    view.show_picture(halves())
    assert view.canvas.zoom == 3
    view.show_picture(halves(44, 30))
    assert view.canvas.zoom == 1


def test_another_size_of_the_window_leaves_no_gap_where_there_is_picture(view: EventView) -> None:
    view.show_picture(halves())
    wheel(view, QPointF(0, 0), NOTCHES_TO_DOUBLE)
    view.resize(900, 500)
    area = view.canvas.area
    assert area.left() <= 0 and area.right() >= view.canvas.width() - 1e-6  # noqa: PT018


def of_size(width: int, height: int) -> InputSpec:
    """Return a model's input, with a frame for each event inside."""
    return InputSpec(width=width, height=height, slice=SliceRule(n_events=1))


def test_mirroring_exchanges_left_and_right_says_so_and_goes_on_showing_the_same_part(view: EventView) -> None:
    view.show_picture(halves())
    plain, middle = painted(view), view.canvas.height() / 2
    view.canvas.set_mirrored(True)
    mirrored = painted(view)
    assert (colour(plain, 40, middle), colour(mirrored, 40, middle)) == (RED, BLUE)
    assert view.canvas.notes == ["mirrored picture"]
    corner = [(x, y) for x in range(view.canvas.width() - 120, view.canvas.width()) for y in range(8, 36)]
    assert any(colour(mirrored, *point) not in (RED, BLUE) for point in corner)
    view.canvas.set_mirrored(False)
    assert painted(view) == plain
    wheel(view, QPointF(0, 0), NOTCHES_TO_DOUBLE)
    view.canvas.set_mirrored(True)
    assert colour(painted(view), 60, 60) == RED


@pytest.mark.parametrize("mirrored", [False, True])
def test_the_crop_is_outlined_where_the_model_looks(view: EventView, mirrored: bool) -> None:
    sensor, model = Resolution(41, 30), of_size(10, 10)  # 5 columns left at the left, 6 at the right
    view.show_picture(np.zeros((30, 41, 3), np.uint8))
    view.canvas.set_mirrored(mirrored)
    before = painted(view)
    view.set_input(of_size(41, 30))
    assert painted(view) == before  # the model sees all
    view.set_input(model)
    after = painted(view)
    changed = [
        x
        for x in range(view.canvas.width())
        if sum(colour(before, x, y) != colour(after, x, y) for y in range(view.canvas.height())) > 50
    ]
    part = crop(sensor, model)
    edges = np.array([part.left(), part.right()])
    edges = view.canvas.area.left() + view.canvas.scale * (41 - edges[::-1] if mirrored else edges)
    assert np.abs(np.array([min(changed), max(changed)]) - edges).max() <= 1


@pytest.mark.parametrize("sensor", [(346, 260), (128, 128), (41, 30), (30, 41), (7, 100)])
@pytest.mark.parametrize("model", [(34, 34), (20, 10), (10, 33)])
def test_the_outline_is_the_slicer_s_crop(sensor: tuple[int, int], model: tuple[int, int]) -> None:
    width, height = sensor
    spec = of_size(*model)
    slicer = Slicer(Resolution(*sensor), spec)
    inside = []
    for axis, size in (("x", width), ("y", height)):
        events = np.zeros(size, EVENTS_DTYPE)
        events["x"], events["y"] = width // 2, height // 2
        events[axis] = events["t"] = np.arange(size)
        kept = [frame.t for frame in slicer.push(Packet(events))]
        inside.append((kept[0], len(kept)))
        slicer.reset()
    (left, columns), (top, rows) = inside
    assert crop(Resolution(*sensor), spec) == QRectF(left, top, columns, rows)


def test_the_size_is_said_and_that_the_model_sees_another(view: EventView) -> None:
    view.set_input(of_size(34, 34))
    view.show_picture(np.zeros((34, 34, 3), np.uint8))
    assert view.size_note.text() == "34 × 34 pixels"
    view.show_picture(np.zeros((260, 346, 3), np.uint8))
    assert view.size_note.text() == "346 × 260, scaled to 34 × 34"
    view.set_input(None)
    assert view.size_note.text() == "346 × 260 pixels"


def test_words_take_the_place_of_the_picture(view: EventView) -> None:
    view.show_picture(halves())
    view.show_words("Opening …", "bar.npz")
    assert not view.has_picture
    assert (view.page.title.text(), view.page.hint.text()) == ("Opening …", "bar.npz")
    assert not any(choice.isVisible() for choice in view.page.choices.values())
    view.show_words("Nothing to show", "The camera was unplugged", ways=True)
    assert all(choice.isVisible() for choice in view.page.choices.values())


def test_each_way_to_begin_is_asked_for_by_mouse_and_by_key_and_can_be_read_aloud(
    view: EventView, qtbot: QtBot
) -> None:
    view.show_words("", "", ways=True)
    assert set(view.page.choices) == set(WAYS)
    for choice in view.page.choices.values():
        with qtbot.waitSignal(choice.clicked):
            qtbot.mouseClick(choice, Qt.MouseButton.LeftButton)
        with qtbot.waitSignal(choice.clicked):
            qtbot.keyClick(choice, Qt.Key.Key_Return)
        assert choice.text()
        assert choice.accessibleDescription()
        assert choice.focusPolicy() & Qt.FocusPolicy.TabFocus


def test_the_welcome_fits_a_small_stage(view: EventView) -> None:
    view.resize(440, 270)
    view.show_words(*WELCOME, ways=True)
    QApplication.processEvents()
    for choice in view.page.choices.values():
        place = QRectF(choice.mapTo(view, QPoint()), choice.size())
        assert QRectF(view.rect()).contains(place)
    assert view.size().width() == 440 and view.size().height() == 270  # noqa: PT018


def test_the_picture_says_which_share_of_the_events_is_dropped_while_some_are(view: EventView) -> None:
    for share, said in ((0.009, []), (0.4, ["40% of the events dropped: too many to keep up"]), (0.0, [])):
        view.canvas.set_loss(share)
        assert view.canvas.notes == said
