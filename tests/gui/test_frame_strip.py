"""The frames of a window: as they are, where they belong, no work done twice."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PySide6.QtCore import QRectF
from pytestqt.qtbot import QtBot

from livesnn.app import style
from livesnn.app.widgets.network_cards import FrameStrip, WindowPanel, picture, window_words
from livesnn.card import InputSpec, SliceRule
from livesnn.events.picture import DEFAULT_PALETTE, FULL_COUNT, PALETTES, count_colours

from .shown_results import CARD, even_but, make_result

ON, OFF, NOTHING = DEFAULT_PALETTE.on, DEFAULT_PALETTE.off, DEFAULT_PALETTE.background
COLOURS = count_colours(DEFAULT_PALETTE)


def test_events_are_shown_in_the_colours_of_the_palette() -> None:
    frame = np.zeros((2, 4, 5), np.uint8)
    frame[1, 0, 0], frame[0, 3, 4], frame[:, 2, 2] = 200, 3, (3, 3)
    pixels = picture(frame, COLOURS)
    between = tuple((one + other) / 2 for one, other in zip(ON, OFF, strict=True))
    seen = [pixels[0, 0], pixels[3, 4], pixels[1, 1], pixels[2, 2]]
    np.testing.assert_allclose(seen, [ON, OFF, NOTHING, between], atol=0.6)


def test_a_large_frame_is_made_smaller_and_loses_no_event() -> None:
    frame = np.zeros((2, 480, 640), np.uint8)
    frame[1, 100, 101] = 9
    pixels = picture(frame, COLOURS)
    assert pixels.shape == (68, 91, 3)
    assert tuple(pixels[100 // 7, 101 // 7]) == ON
    assert (pixels != NOTHING).any(axis=-1).sum() == 1


@pytest.mark.parametrize(("channels", "colour"), [(1, (10, 10, 10)), (3, (10, 20, 30))])
def test_video_is_shown_as_it_is(channels: int, colour: tuple[int, int, int]) -> None:
    frame = np.broadcast_to(np.array([10, 20, 30], np.uint8)[:channels, None, None], (channels, 6, 8))
    assert (picture(frame, COLOURS) == colour).all()


@pytest.fixture
def strip(qtbot: QtBot) -> FrameStrip:
    """Return the places of the frames, 380×112 pixels."""
    strip = FrameStrip()
    qtbot.addWidget(strip)
    strip.resize(380, 112)
    strip.set_input(CARD.input)
    return strip


@pytest.mark.parametrize(("width", "height", "window"), [(128, 128, 10), (640, 480, 10), (34, 34, 7), (64, 64, 1)])
def test_all_places_are_inside_apart_and_of_the_frames_shape(
    strip: FrameStrip, width: int, height: int, window: int
) -> None:
    strip.set_input(InputSpec(width=width, height=height, slice=SliceRule(delta_t_us=1), window=window))
    for size in ((380, 112), (300, 70), (200, 300), (120, 60)):
        strip.resize(*size)
        boxes = strip.boxes()
        assert len(boxes) == window
        whole = QRectF(strip.rect()).adjusted(-0.01, -0.01, 0.01, 0.01)
        for index, box in enumerate(boxes):
            assert whole.contains(box)
            assert box.width() / box.height() == pytest.approx(width / height)
            assert not any(box.adjusted(1, 1, -1, -1).intersects(other) for other in boxes[index + 1 :])


def test_only_new_frames_are_turned_into_pictures(strip: FrameStrip) -> None:
    frames = tuple(np.zeros((2, 128, 128), np.uint8) for _ in range(7))

    def colours() -> list[str]:
        image = strip.grab().toImage()
        return [image.pixelColor(box.center().toPoint()).name() for box in strip.boxes()[:7]]

    strip.show_frames(frames[:4])
    dark = colours()[0]
    for frame in frames:
        frame[1] = FULL_COUNT  # a frame that is on show is not looked at again
    strip.show_frames(frames)
    bright = colours()[4]
    assert colours() == [dark] * 4 + [bright] * 3
    assert bright != dark
    strip.show_frames(frames[5:6])
    assert colours()[0] == bright
    assert strip.seen == 1


def test_frames_seen_are_painted_and_the_newest_is_framed(strip: FrameStrip) -> None:
    frame = np.zeros((2, 128, 128), np.uint8)
    frame[1] = 8
    strip.show_frames((frame, frame, frame))
    image = strip.grab().toImage()
    colours = []
    for box in strip.boxes():
        middle, corner = box.center().toPoint(), box.topLeft().toPoint()
        colours.append((image.pixelColor(middle).name(), image.pixelColor(corner.x() + 1, corner.y() + 1).name()))
    lit = style.QColor(*DEFAULT_PALETTE.on).name()
    assert colours[:2] == [(lit, lit)] * 2
    assert colours[2] == (lit, style.theme.accent)
    assert colours[3:] == [(style.theme.raised, style.theme.raised)] * 7


def test_the_palette_can_change_while_frames_are_on_show(strip: FrameStrip) -> None:
    strip.show_frames((np.zeros((2, 34, 34), np.uint8),))
    strip.set_palette(PALETTES["white background"])
    middle = strip.boxes()[0].center().toPoint()
    assert strip.grab().toImage().pixelColor(middle).getRgb()[:3] == PALETTES["white background"].background


def test_the_card_says_which_frame_of_the_window_it_is(qtbot: QtBot) -> None:
    panel = WindowPanel()
    qtbot.addWidget(panel)
    panel.clear(CARD)
    assert panel.caption.remark == "–"
    panel.show_result(make_result(even_but(0, 0.5), frames=17))
    assert panel.caption.remark == "frame 7 of 10"
    assert panel.strip.seen == 7
    boxes = panel.strip.boxes()
    assert panel.strip.tip_at(boxes[6].center()) == "Frame 7 of 10"
    assert panel.strip.tip_at(boxes[7].center()) == "Frame 8 of 10, still to come"
    panel.wait()
    assert (panel.caption.remark, panel.strip.seen) == ("–", 0)


def test_a_window_is_explained_in_frames_and_seconds(qtbot: QtBot) -> None:
    panel = WindowPanel()
    qtbot.addWidget(panel)
    panel.clear(CARD)
    assert panel.caption.toolTip().startswith("A window is 10 frames of 29 ms (0.29 s).")
    by_events = replace(CARD.input, slice=SliceRule(n_events=20_000))
    assert window_words(by_events).startswith("A window is 10 frames of 20,000 events.")
