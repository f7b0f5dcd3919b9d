"""Which models fit a source: by its kind and size, and which shipped one was trained for it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from livesnn.__main__ import main
from livesnn.errors import SourceError
from livesnn.events.packet import Resolution
from livesnn.events.recording import Recording
from livesnn.infer.load import Fit, fit_events, fit_video, read_card, shipped_models
from livesnn.paths import recordings_dir
from livesnn.sources import open_source
from livesnn.video.emulate import RESOLUTION
from tests.synthetic import bar_images, write_video

SIZES = {"gestures": Resolution(128, 128), "nmnist": Resolution(34, 34), "objects": Resolution(128, 128)}


@pytest.mark.parametrize("model", SIZES)
def test_a_model_fits_the_size_it_was_trained_with(model: str) -> None:
    assert fit_events(read_card(model), SIZES[model]) == Fit(plays=True)


def test_for_another_size_the_model_that_was_trained_with_it_is_better() -> None:
    assert fit_events(read_card("gestures"), SIZES["nmnist"]) == Fit(True, "nmnist", "This looks like N-MNIST")
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
        fit = fit_video(card, "clip.avi") if card.input.kind == "video" else fit_events(card, Resolution(9, 9))
        assert fit.plays


def test_a_source_may_name_the_events_that_are_made_of_a_video(tmp_path: Path) -> None:
    clip = write_video(tmp_path / "grey.avi", (np.maximum(image, 90) for image in bar_images()))
    with open_source(f"{clip}?stream=emulated") as opened:
        assert isinstance(opened, Recording)
        assert opened.resolution == RESOLUTION
        assert sum(packet.events.size for packet in opened) > 1000
    with pytest.raises(SourceError, match="no event stream 'other'"):
        open_source(f"{clip}?stream=other")


@pytest.mark.parametrize(
    "command",
    [("run",), ("serve", "--tcp", "0", "--seconds", "0.5")],
    ids=lambda words: words[0],
)
def test_with_no_model_named_the_fitting_one_decides_and_is_said(
    capsys: pytest.CaptureFixture[str], command: tuple[str, ...]
) -> None:
    assert main([*command, str(recordings_dir() / "digit-3.aedat4"), "--json"]) == 0
    told = capsys.readouterr()
    said = f"livesnn {command[0]}: This looks like N-MNIST, so nmnist is used: name another model with --model"
    assert told.err.splitlines()[0] == said
    summary = json.loads(told.out.splitlines()[-1])["summary"]
    assert summary["majority"] in ("3", None)
    assert not any("trained" in warning for warning in summary["warnings"])


def test_a_model_that_is_named_is_used_whatever_the_source(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", str(recordings_dir() / "digit-3.aedat4"), "--model", "gestures", "--json"]) == 0
    told = capsys.readouterr()
    assert "nmnist is used" not in told.err
    assert "trained with this size: nmnist" in told.err


def test_for_the_usual_source_nothing_is_said_of_the_model(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", str(recordings_dir() / "hand_clapping.aedat4"), "--seconds", "1"]) == 0
    assert capsys.readouterr().err == ""
