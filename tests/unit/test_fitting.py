"""Which models fit a source: by its kind and size, and which shipped one was trained for it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from livesnn.app.opening import Fit, fit_events, fit_video
from livesnn.errors import SourceError
from livesnn.events.packet import Resolution
from livesnn.events.recording import Recording
from livesnn.infer.model import read_card, shipped_models
from livesnn.sources import open_source
from livesnn.video.emulate import RESOLUTION
from tests.synthetic import bar_images, write_video

SIZES = {"gestures": Resolution(128, 128), "nmnist": Resolution(34, 34), "objects": Resolution(128, 128)}


@pytest.mark.parametrize("model", SIZES)
def test_a_model_fits_the_size_it_was_trained_with(model: str) -> None:
    assert fit_events(read_card(model), SIZES[model]) == Fit(plays=True)


def test_for_another_size_the_model_that_was_trained_with_it_is_better() -> None:
    assert fit_events(read_card("gestures"), SIZES["nmnist"]) == Fit(
        True, "nmnist", "This looks like N-MNIST"
    )
    assert fit_events(read_card("nmnist"), SIZES["gestures"]) == Fit(
        True, "gestures", "gestures was trained with 128 × 128 pixels"
    )


def test_for_a_size_that_none_was_trained_with_none_is_better() -> None:
    assert fit_events(read_card("gestures"), Resolution(346, 260)) == Fit(plays=True)


def test_a_model_of_videos_cannot_take_events_and_one_of_events_no_video() -> None:
    video = fit_events(read_card("ucf6"), Resolution(346, 260))
    assert (video.plays, video.better) == (False, "gestures")
    events = fit_video(read_card("gestures"), "clip.avi")
    assert (events.plays, events.better) == (False, "ucf6")
    assert fit_video(read_card("gestures"), "simulate:digits").better == "mnist-seq2"
    assert fit_video(read_card("ucf6"), "clip.avi") == Fit(plays=True)


def test_every_shipped_model_fits_a_source_of_its_own_kind() -> None:
    for model in shipped_models():
        card = read_card(model)
        fit = (
            fit_video(card, "clip.avi") if card.input.kind == "video" else fit_events(card, Resolution(9, 9))
        )
        assert fit.plays


def test_a_source_may_name_the_events_that_are_made_of_a_video(tmp_path: Path) -> None:
    clip = write_video(tmp_path / "grey.avi", (np.maximum(image, 90) for image in bar_images()))
    with open_source(f"{clip}?stream=emulated") as opened:
        assert isinstance(opened, Recording)
        assert opened.resolution == RESOLUTION
        assert sum(packet.events.size for packet in opened) > 1000
    with pytest.raises(SourceError, match="no event stream 'other'"):
        open_source(f"{clip}?stream=other")
