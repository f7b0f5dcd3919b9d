"""Video files as frames: which picture at which time, cropped and rescaled, damaged ones, and the network on them."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Iterable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from livesnn.__main__ import main
from livesnn.card import InputSpec, ModelCard, SliceRule
from livesnn.cli.recordings import describe_recording
from livesnn.errors import FormatError, LivesnnError, ModelError, SourceError
from livesnn.events.convert import convert
from livesnn.events.packet import Packet, Resolution
from livesnn.events.recording import Recording, open_recording
from livesnn.events.slicer import Frame, Slicer
from livesnn.infer.load import load_model
from livesnn.infer.model import Model
from livesnn.infer.run import run, run_frames
from livesnn.outputs.lines import Row, RunOptions, Summary, decide_all
from livesnn.sources import describe, event_source, open_events, open_source
from livesnn.video.video_file import Reading, Video, VideoInfo, fit, open_video, video_clips
from tests import synthetic
from tests.fake_source import joined
from tests.fake_webcam import gesture_pictures
from tests.synthetic import moving_bar, write_model, write_recording

pytestmark = pytest.mark.timeout(60)

Images = npt.NDArray[np.uint8]

SPEC = InputSpec(width=34, height=34, slice=SliceRule(delta_t_us=40_000), kind="video", channels=3)
CARD = ModelCard(
    name="bright columns",
    classes=tuple(str(digit) for digit in range(10)),
    input=SPEC,
    states={"classify": (10,)},
)


def write_video(path: Path, images: Iterable[Images], fps: float = 25.0, codec: str = "MJPG") -> Path:
    return synthetic.write_video(path, images, fps, codec)


def grey_levels(count: int, width: int = 64, height: int = 48) -> Images:
    """Return images each of one level, 4 more than the one before: what a picture shows says which it is."""
    levels = np.arange(count, dtype=np.uint8) * 4
    return np.broadcast_to(levels[:, None, None, None], (count, height, width, 3)).copy()


def numbers(video: Video, delta_t_us: int) -> list[int]:
    """Return which frame of `grey_levels` each frame shows."""
    spec = replace(SPEC, slice=SliceRule(delta_t_us=delta_t_us))
    frames = list(video.frames(spec))
    assert [frame.t for frame in frames] == [k * delta_t_us for k in range(len(frames))]
    return [round(float(frame.data.mean()) / 4) for frame in frames]


def moving_bar_images(count: int) -> Images:
    """Return a bright bar that moves to the right over noise."""
    rng = np.random.default_rng(3)
    images = rng.integers(0, 60, (count, 48, 64, 3), dtype=np.uint8)
    for k in range(count):
        left = k * 60 // count
        images[k, :, left : left + 6] = 250
    return images


@pytest.fixture(scope="module")
def bar(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """45 frames at 25 a second."""
    return write_video(tmp_path_factory.mktemp("video") / "bar.avi", moving_bar_images(45))


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_model(tmp_path_factory.mktemp("model") / "columns", CARD))


@pytest.fixture(scope="module")
def model(model_folder: str) -> Model:
    return load_model(model_folder)


# Which picture at which time


@pytest.mark.parametrize(
    ("fps", "delta_t_us"),
    [
        (10.0, 7_000),
        (25.0, 40_000),
        (25.0, 33_367),
        (30_000 / 1001, 33_367),
        (30_000 / 1001, 100_000),
        (60.0, 40_000),
    ],
)
def test_frame_k_is_the_newest_picture_at_k_intervals(tmp_path: Path, fps: float, delta_t_us: int) -> None:
    count = 30
    video = open_video(write_video(tmp_path / "grey.avi", grey_levels(count), fps))
    assert video.fps == Fraction(str(round(fps, 2)))  # what OpenCV writes
    shown_us = [int(frame * 10**6 / video.fps) for frame in range(count + 1)]
    expected = []
    while len(expected) * delta_t_us < shown_us[-1]:
        now_us = len(expected) * delta_t_us
        expected.append(max(frame for frame in range(count) if shown_us[frame] <= now_us))
    assert numbers(video, delta_t_us) == expected


@pytest.mark.parametrize(
    ("suffix", "codec", "fps"),
    [
        ("avi", "MJPG", 25.0),
        ("avi", "XVID", 30_000 / 1001),
        ("mp4", "mp4v", 30_000 / 1001),
        ("mkv", "XVID", 25.0),
        ("webm", "VP80", 30_000 / 1001),
    ],
)
def test_a_video_read_from_a_later_time_on_shows_what_it_shows_then(
    tmp_path: Path, suffix: str, codec: str, fps: float
) -> None:
    video = open_video(write_video(tmp_path / f"bar.{suffix}", moving_bar_images(256), fps, codec))
    whole = {frame.t: frame.data for frame in video.frames(SPEC)}
    for from_us in (1, 3_210_000, 7_777_777, max(whole)):
        later = list(video.frames(SPEC, from_us))
        assert [frame.t for frame in later] == [t for t in whole if t >= from_us]
        for frame in later:
            np.testing.assert_array_equal(frame.data, whole[frame.t])
    assert list(video.frames(SPEC, max(whole) + 1)) == []


@pytest.mark.parametrize(("suffix", "codec"), [("avi", "MJPG"), ("mp4", "mp4v"), ("webm", "VP80")])
def test_what_lies_before_a_sought_frame_is_not_read(tmp_path: Path, suffix: str, codec: str) -> None:
    path = write_video(tmp_path / f"bar.{suffix}", moving_bar_images(500), 25.0, codec)
    for frame in (120, 400, 499):
        with Reading(path, Fraction(25)) as reading:
            reading.skip_to(frame)
            assert frame - 12 < reading.next_frame <= frame
    with Reading(path, Fraction(25)) as reading:
        reading.skip_to(9_000)
        assert reading.next_frame <= 500


def test_memory_is_bounded_however_long_a_video_is(tmp_path: Path) -> None:
    video = open_video(write_video(tmp_path / "long.avi", grey_levels(60, 640, 480)))
    tracemalloc.start()
    seen = sum(1 for _ in video.frames(SPEC))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert seen == 60
    assert peak < 6 * 640 * 480 * 3


# Cropped and rescaled


def test_clips_are_the_windows_of_the_frames_and_a_model_may_have_any(bar: Path) -> None:
    live = list(open_video(bar).frames(SPEC))
    assert [frame.t for frame in live] == [k * 40_000 for k in range(45)]
    assert [frame.start for frame in live] == [True] + [False] * 44
    for window in (10, 7):
        clips = video_clips(bar, replace(SPEC, window=window))
        assert clips.shape == (45 // window, window, 3, 34, 34)
        flat = clips.reshape(-1, 3, 34, 34)
        np.testing.assert_array_equal(flat, [frame.data for frame in live[: len(flat)]])


def test_a_picture_is_averaged_over_blocks_as_rgb() -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)
    picture = fit(image, replace(SPEC, width=16, height=16))
    blocks = image.reshape(16, 4, 16, 4, 3).mean(axis=(1, 3))
    assert (picture.shape, picture.dtype) == ((3, 16, 16), np.uint8)
    np.testing.assert_allclose(picture, blocks[:, :, ::-1].transpose(2, 0, 1), atol=0.51)


def test_grey_weighs_the_colours() -> None:
    image = np.zeros((8, 8, 3), np.uint8)
    image[:] = (10, 100, 200)  # blue, green, red
    picture = fit(image, replace(SPEC, width=4, height=4, channels=1))
    assert picture.shape == (1, 4, 4)
    np.testing.assert_allclose(picture, 0.114 * 10 + 0.587 * 100 + 0.299 * 200, atol=0.51)


@pytest.mark.parametrize(
    ("size", "inside"),
    [((40, 20), (slice(None), slice(10, 30))), ((20, 40), (slice(10, 30), slice(None)))],
    ids=["wide", "high"],
)
def test_the_largest_centred_part_is_taken(size: tuple[int, int], inside: tuple[slice, slice]) -> None:
    image = np.zeros((size[1], size[0], 3), np.uint8)
    image[inside] = np.arange(20, dtype=np.uint8)[:, None, None] * 10
    picture = fit(image, replace(SPEC, width=20, height=20))
    np.testing.assert_array_equal(picture[0], image[inside][:, :, 0])


# Damaged, and not videos


@pytest.mark.parametrize(
    ("suffix", "codec", "part"),
    [(".avi", "MJPG", 0.4), (".avi", "XVID", 0.5), (".mkv", "MJPG", 0.77), (".avi", "FFV1", 0.77)],
)
def test_a_video_cut_short_is_read_as_far_as_it_is_whole(
    tmp_path: Path, suffix: str, codec: str, part: float
) -> None:
    whole = open_video(write_video(tmp_path / f"whole{suffix}", moving_bar_images(100), codec=codec))
    octets = whole.path.read_bytes()
    (tmp_path / f"cut{suffix}").write_bytes(octets[: int(part * len(octets))])
    cut = open_video(tmp_path / f"cut{suffix}")
    expected = [s.data for s in whole.frames(SPEC)]
    read = [s.data for s in cut.frames(SPEC)]
    assert 20 < len(read) < 90
    np.testing.assert_array_equal(np.stack(read), np.stack(expected[: len(read)]))
    assert whole.warnings == ()
    (warning,) = cut.warnings
    assert f"{len(read)} of 100 frames" in warning
    assert "\n" not in warning


def test_an_mp4_cut_short_is_one_line(tmp_path: Path) -> None:
    octets = write_video(tmp_path / "whole.mp4", moving_bar_images(30), codec="mp4v").read_bytes()
    (tmp_path / "cut.mp4").write_bytes(octets[: len(octets) // 2])  # its table is at the end
    with pytest.raises(FormatError, match="can be decoded") as raised:
        open_source(tmp_path / "cut.mp4")
    assert "\n" not in str(raised.value)


def head_alone(path: Path) -> None:
    octets = write_video(path, moving_bar_images(9)).read_bytes()
    path.write_bytes(octets[: octets.index(b"movi") + 4])


@pytest.mark.parametrize(
    ("make", "error", "says"),
    [
        (lambda path: path.write_bytes(b""), FormatError, "empty"),
        (lambda path: path.write_bytes(bytes(10_000)), FormatError, "not a video"),
        (lambda path: path.write_text("a story\n" * 1000), FormatError, "not a video"),
        (lambda path: path.write_text("#EXTM3U\nhttp://127.0.0.1:1/a.ts\n"), FormatError, "not a video"),
        (lambda path: path.write_bytes(b"RIFF\x00\x10\x00\x00AVI " + bytes(9000)), FormatError, "decoded"),
        (head_alone, FormatError, "no frame"),
        (lambda path: write_video(path, grey_levels(5), 1000.0), FormatError, "1000 a second"),
        (lambda path: write_video(path, grey_levels(5), 0.02), FormatError, "0.02 a second"),
        (lambda path: write_video(path, grey_levels(2, 17_000, 16)), FormatError, "17000×16"),
        (lambda path: path.mkdir(), SourceError, "folder"),
        pytest.param(
            lambda path: os.mkfifo(path), SourceError, "pipe",
            marks=pytest.mark.skipif(sys.platform == "win32", reason="needs named pipes"),
        ),
        (lambda path: None, SourceError, "no such file"),
    ],
    ids=[
        "empty", "zeros", "text", "playlist", "magic-alone", "head-alone", "fast", "slow", "wide", "folder", "pipe",
        "missing",
    ],
)  # fmt: skip
def test_what_is_no_video_is_one_line(
    tmp_path: Path, make: Callable[[Path], object], error: type[LivesnnError], says: str
) -> None:
    path = tmp_path / "clip.avi"
    make(path)
    for open_it in (open_source, open_video, lambda path: video_clips(path, SPEC)):
        with pytest.raises(error) as raised:
            open_it(path)
        assert says in str(raised.value)
        assert "clip.avi" in str(raised.value)
        assert "\n" not in str(raised.value)


def test_a_frame_rate_that_varies_is_warned_of(tmp_path: Path) -> None:
    even = open_video(write_video(tmp_path / "even.mkv", grey_levels(40), 25.0))
    late = bytearray(even.path.read_bytes())
    blocks = list(re.finditer(rb"\x81(..)[\x00\x80]\xff\xd8", late, re.DOTALL))  # track, ms, flags, JPEG
    assert len(blocks) == 40
    for block in blocks[20:]:
        late[slice(*block.span(1))] = (int.from_bytes(block[1], "big") + 900).to_bytes(2, "big")
    (tmp_path / "late.mkv").write_bytes(late)
    uneven = open_video(tmp_path / "late.mkv")
    assert numbers(even, 40_000) == numbers(uneven, 40_000) == list(range(40))
    assert even.warnings == ()
    assert "uneven times, up to 0.9 s" in uneven.warnings[0]


def test_opencv_and_ffmpeg_say_nothing(tmp_path: Path, model_folder: str) -> None:
    octets = bytearray(write_video(tmp_path / "a.avi", moving_bar_images(60), codec="XVID").read_bytes())
    rng = np.random.default_rng(0)
    for at in rng.integers(len(octets) // 3, len(octets), 60):
        octets[at] ^= 0x55
    (tmp_path / "damaged.avi").write_bytes(octets[: len(octets) * 2 // 3])
    script = "import sys; from livesnn.__main__ import main; sys.exit(main())"
    arguments = ["run", str(tmp_path / "damaged.avi"), "--model", model_folder, "--json"]
    done = subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, text=True)
    assert done.returncode == 0
    *rows, last = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(rows) == last["summary"]["windows"] > 0
    assert [line.split(":")[0] for line in done.stderr.splitlines()] == ["livesnn run"]


# A source like others


@pytest.mark.parametrize("name", ["clip.avi", "clip", "100%d !.avi", "µ %%s.AVI", "clip.aedat4"])
def test_a_video_is_known_by_its_content(tmp_path: Path, bar: Path, name: str) -> None:
    (tmp_path / name).write_bytes(bar.read_bytes())
    with open_source(tmp_path / name) as source:
        assert isinstance(source, Video)
        assert (source.live, source.resolution) == (False, (64, 48))


def test_events_called_a_video_are_events(tmp_path: Path) -> None:
    path = write_recording(tmp_path / "events.npz", moving_bar(50_000)).rename(tmp_path / "events.avi")
    with open_source(path) as source:
        assert isinstance(source, Recording)


@pytest.mark.parametrize(
    ("suffix", "codec", "container"),
    [
        (".mp4", "mp4v", "mp4"),
        (".mov", "MJPG", "mov"),
        (".mkv", "MJPG", "matroska"),
        (".webm", "VP80", "webm"),
    ],
)
def test_every_container_is_read_whole(tmp_path: Path, suffix: str, codec: str, container: str) -> None:
    video = open_video(write_video(tmp_path / f"clip{suffix}", grey_levels(40), codec=codec))
    np.testing.assert_allclose(numbers(video, 40_000), range(40), atol=1)  # two of these blur small changes
    assert (video.format, video.fps, video.warnings) == (container, 25, ())


def test_a_video_shorter_than_a_window_repeats_its_last_frame(tmp_path: Path) -> None:
    (clip,) = video_clips(write_video(tmp_path / "short.avi", grey_levels(4)), SPEC)
    levels = [round(float(picture.mean()) / 4) for picture in clip]
    assert levels == [0, 1, 2, 3, 3, 3, 3, 3, 3, 3]


def test_the_network_on_a_video_is_the_network_on_its_frames(bar: Path, model: Model) -> None:
    stacked = video_clips(bar, SPEC).reshape(-1, 3, 34, 34)
    alone = run_frames([Frame(k * 40_000, data, 0) for k, data in enumerate(stacked)], model)
    results = list(run(bar, model))
    assert len(results) == 45
    for expected, found in zip(alone, results, strict=False):
        np.testing.assert_array_equal(found.rates, expected.rates)
        assert (found.t, found.window, found.decision) == (expected.t, expected.window, expected.decision)
    assert [result.carried for result in results] == list(range(1, 46))
    assert not any(result.reset for result in results)


def test_a_video_is_decided_without_a_window(bar: Path, model_folder: str) -> None:
    *rows, summary = decide_all(str(bar), RunOptions(model_folder))
    assert isinstance(summary, Summary)
    assert [row.t for row in rows if isinstance(row, Row)] == [360_000, 760_000, 1_160_000, 1_560_000]
    assert (summary.frames, summary.windows, summary.events, summary.warnings) == (45, 4, 0, ())


def test_seconds_end_a_video_in_its_own_time(bar: Path, model_folder: str) -> None:
    *_, summary = decide_all(str(bar), RunOptions(model_folder, seconds=0.9))
    assert isinstance(summary, Summary)
    assert (summary.frames, summary.windows) == (23, 2)


def test_a_video_without_a_window_says_so(tmp_path: Path, model_folder: str) -> None:
    (summary,) = decide_all(str(write_video(tmp_path / "short.avi", grey_levels(4))), RunOptions(model_folder))
    assert isinstance(summary, Summary)
    assert summary.warnings == ("no decision, because 4 frames are fewer than a window of 10: give a longer source",)


def test_a_model_for_events_refuses_a_video(bar: Path, tmp_path: Path) -> None:
    card = replace(CARD, input=replace(SPEC, kind="events", channels=2))
    with pytest.raises(
        ModelError, match=r"bar\.avi is a video.*choose a model for video.*livesnn convert /.*bar\.avi "
    ):
        list(decide_all(str(bar), RunOptions(str(write_model(tmp_path / "events", card)))))


def test_a_model_for_videos_refuses_events(tmp_path: Path, model_folder: str) -> None:
    path = write_recording(tmp_path / "events.npz", moving_bar(50_000))
    with pytest.raises(ModelError, match="choose a model for events"):
        list(decide_all(str(path), RunOptions(model_folder)))


@pytest.mark.parametrize("wrong", [{"channels": 2}, {"slice": SliceRule(n_events=100)}])
def test_a_card_that_no_video_fits_is_refused(bar: Path, wrong: dict[str, object]) -> None:
    with pytest.raises(ModelError, match="correct the model's card"):
        video_clips(bar, replace(SPEC, **wrong))  # type: ignore[arg-type]


def test_a_video_is_not_recorded_as_events(bar: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SourceError, match="has no events"):
        event_source(open_source(bar))
    assert main(["record", str(bar), str(tmp_path / "out.aedat4")]) == 1
    assert "has no events" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_video_of_too_few_pictures_a_second_makes_no_events(tmp_path: Path) -> None:
    path = write_video(tmp_path / "slow.avi", moving_bar_images(5), 1.0)
    with pytest.raises(SourceError, match="1 pictures a second are too few to make events: give 2 or more"):
        convert(path, tmp_path / "out.aedat4", opener=open_events)
    assert not (tmp_path / "out.aedat4").exists()


def test_a_video_is_described(bar: Path) -> None:
    found = describe(bar)
    assert isinstance(found, VideoInfo)
    assert (found.format, found.resolution, found.fps) == ("avi", (64, 48), 25.0)
    assert (found.frames, found.duration_us, found.streams, found.warnings) == (45, 1_800_000, {}, [])
    text = describe_recording(found)
    assert "1.800 s at 25 frames/s" in text
    assert "45 frames" in text


# Real ones


@pytest.mark.parametrize(
    ("name", "fps", "n_frames", "size"),
    [
        ("ucf101/originals/v_Archery_g08_c01.avi", 25.0, 363, (320, 240)),
        ("ucf101/originals/v_HorseRace_g08_c01.avi", 30_000 / 1001, 265, (320, 240)),
        ("hmdb51/hmdb51_org/wave/RATRACE_wave_f_nm_np1_fr_goo_37.avi", 30.0, 72, (560, 240)),
    ],
    ids=["archery", "horse-race", "wave"],
)  # fmt: skip
def test_real_videos_are_read_whole(
    data_dir: Path, name: str, fps: float, n_frames: int, size: tuple[int, int]
) -> None:
    found = describe(data_dir / name)
    assert isinstance(found, VideoInfo)
    assert (found.frames, found.resolution, found.warnings) == (n_frames, size, [])
    assert found.fps == fps
    clips = video_clips(data_dir / name, replace(SPEC, slice=SliceRule(delta_t_us=80_000)))
    assert len(clips) == -(-found.duration_us // 80_000) // 10
    assert clips.std() > 20


def test_a_video_whose_first_frames_own_times_have_a_gap_shows_what_it_shows_then(data_dir: Path) -> None:
    path = data_dir / "ucf101" / "UCF-101" / "Archery" / "v_Archery_g22_c03.avi"
    if not path.is_file():
        pytest.skip("it isn't there")
    video = open_video(path)
    whole = {frame.t: frame.data for frame in video.frames(SPEC)}
    later = list(video.frames(SPEC, 2_500_000))
    assert [frame.t for frame in later] == [t for t in whole if t >= 2_500_000]
    for frame in later:
        np.testing.assert_array_equal(frame.data, whole[frame.t])


def test_events_are_made_of_a_video(tmp_path: Path) -> None:
    pictures, times_us = gesture_pictures("right_hand_wave", 1, 1.2, use="show")
    path = write_video(tmp_path / "wave.avi", pictures, fps=30.0)
    done = convert(path, tmp_path / "wave.aedat4", opener=open_events)
    assert done.events > 5000
    assert any("simulated from 30 pictures a second" in warning for warning in done.warnings)
    with open_recording(tmp_path / "wave.aedat4") as recording:
        assert recording.resolution == (128, 128)
        assert 0 < recording.t_start < recording.t_end <= times_us[-1] + 33_334
        once = joined(recording)
    convert(path, tmp_path / "again.aedat4", opener=open_events)
    with open_recording(tmp_path / "again.aedat4") as recording:
        np.testing.assert_array_equal(joined(recording), once)
    model = load_model("gestures", engine="onnx")
    spec = model.card.input
    state, outputs = model.initial_state(), []
    for frame in Slicer(Resolution(128, 128), spec).push(Packet(once)):
        output, state = model.step(frame, state)
        outputs.append(output)
    assert model.card.classes[int(np.mean(outputs, axis=0).argmax())] == "right_hand_wave"


def test_a_video_has_one_stream_of_events(tmp_path: Path, bar: Path) -> None:
    with pytest.raises(SourceError, match="a video has no event stream 'left': leave --stream out"):
        convert(bar, tmp_path / "out.aedat4", opener=open_events, stream="left")
    assert convert(bar, tmp_path / "out.npz", opener=open_events, stream="emulated").events > 0
