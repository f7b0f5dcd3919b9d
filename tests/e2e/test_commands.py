"""The command line as a person uses it, on what is shipped: run, info, eval; and its errors."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from livesnn.__main__ import main
from livesnn.errors import SourceError
from livesnn.infer.load import load_model
from livesnn.paths import models_dir, recordings_dir
from tests import trees
from tests.waiting import eventually

from .conftest import RunHere, livesnn

CLIPS = sorted(recordings_dir().glob("*.aedat4"))
RunJson = Callable[..., tuple[list[dict], dict]]
DIGIT = (recordings_dir() / "digit-3.aedat4", "--model", "nmnist")


def finish(process, seconds: float = 100) -> tuple[int, list[str], str]:
    """Return exit code, lines of output, and errors."""
    output, errors = process.communicate(timeout=seconds)
    return process.returncode, output.splitlines(), errors


@pytest.fixture
def run_json(run_here: RunHere) -> RunJson:
    """Return a function that returns rows and summary of `livesnn run ARGUMENTS --json`."""

    def run(*arguments: str | Path) -> tuple[list[dict], dict]:
        code, output, errors = run_here("run", *arguments, "--json")
        assert code == 0, errors
        *rows, last = map(json.loads, output.splitlines())
        return rows, last["summary"]

    return run


def labels() -> dict[str, str]:
    """Return {clip: the label its README states}."""
    text = (recordings_dir() / "README.md").read_text()
    return dict(re.findall(r"^\| `(\S+\.aedat4)` \| (\w+) \|", text, re.MULTILINE))


@pytest.mark.parametrize("clip", CLIPS, ids=lambda clip: clip.stem)
def test_a_shipped_model_recognises_the_shipped_clip(clip: Path, run_json: RunJson) -> None:
    others = {"digit": "nmnist", "ship": "cifar10-dvs"}
    rows, summary = run_json(clip, "--model", others.get(clip.stem.split("-")[0], "gestures"))
    expected = labels()[clip.name]  # each has one
    assert summary["majority"] == expected
    assert summary["windows"] == len(rows) > 5
    assert sum(row["decision"] == expected for row in rows) >= len(rows) - 2
    assert summary["dropped"] == 0
    assert 0 < summary["density"] < 0.3
    assert summary["synops_per_frame"] > summary["macs_per_frame"] > 0
    assert summary["energy_estimate_uj_per_frame"] > 0


def test_the_shipped_model_of_video_names_videos_it_was_not_trained_on(data_dir: Path, run_json: RunJson) -> None:
    card = load_model("ucf6").card
    assert card.split is not None
    videos = [
        next((data_dir / "ucf101" / "UCF-101" / label).glob(f"v_{label}_{group}_c0*.avi"))
        for label, group in (name.split("/") for name in card.split.groups[::2])
    ]
    majorities = [run_json(video, "--model", "ucf6")[1]["majority"] for video in videos]
    right = sum(video.parent.name == majority for video, majority in zip(videos, majorities, strict=True))
    assert right >= 0.6 * len(videos) > 6


def test_run_prints_one_row_a_frame_when_asked(run_json: RunJson) -> None:
    windows, _ = run_json(*DIGIT)
    rows, summary = run_json(*DIGIT, "--every", "frame")
    assert len(rows) == summary["frames"] - 9
    by_time = {row["t"]: row for row in rows}
    assert [by_time[row["t"]] for row in windows] == windows


def test_without_noise_a_clip_is_decided_alike_and_the_summary_says_what_was_dropped(
    run_json: RunJson, run_here: RunHere
) -> None:
    plain_rows, plain = run_json(*DIGIT)
    rows, summary = run_json(*DIGIT, "--denoise")
    assert [row["decision"] for row in rows] == [row["decision"] for row in plain_rows]
    assert [row["t"] for row in rows] == [row["t"] for row in plain_rows]
    noise = summary["denoise"]
    assert noise["events"] == summary["events"] == plain["events"]
    assert noise["kept"] + sum(noise[why] for why in ("hot", "refractory", "isolated", "outside")) == noise["events"]
    assert 0.5 * noise["events"] < noise["kept"] < noise["events"]
    assert plain["denoise"] is None
    assert (summary["out_of_order"], summary["out_of_bounds"]) == (0, 0)
    words = run_here("run", *DIGIT, "--denoise").output
    assert re.search(r"noise .*\d\.\d% dropped \(\d.* hot, .* refractory, .* isolated\), .* kept", words)


def test_a_video_has_no_events_to_filter(data_dir: Path, run_here: RunHere) -> None:
    video = next((data_dir / "ucf101" / "UCF-101").rglob("*.avi"))
    code, _, errors = run_here("run", video, "--model", "ucf6", "--denoise")
    assert code == 1
    assert "a video has no events" in errors
    assert len(errors.splitlines()) == 1


def test_the_engines_decide_alike(run_json: RunJson) -> None:
    onnx, _ = run_json(*DIGIT, "--engine", "onnx")
    for engine in ("spike", "torch"):
        other, summary = run_json(*DIGIT, "--engine", engine)
        assert summary["engine"] == engine
        assert [row["decision"] for row in onnx] == [row["decision"] for row in other]


def test_the_real_sample_recording_is_described_and_decided(
    data_dir: Path, run_here: RunHere, run_json: RunJson
) -> None:
    recording = data_dir / "recordings" / "nmnist" / "tonic_sample_nmnist.bin"
    code, line, errors = run_here("info", recording, "--json")
    assert code == 0, errors
    (stream,) = json.loads(line)["streams"].values()
    assert stream["n"] == 4325
    _, summary = run_json(recording, "--model", "nmnist")
    assert summary["windows"] == 1
    assert summary["events"] == 4325


def test_the_shipped_model_holds_its_floor_on_real_recordings(data_dir: Path, run_here: RunHere) -> None:
    flags = ("--model", models_dir() / "nmnist", "--dataset", "nmnist", "--data", data_dir / "nmnist")
    code, line, errors = run_here("eval", *flags, "--json")
    assert code == 0, errors
    measured = json.loads(line)
    assert measured["n"] == 100
    assert measured["accuracy_reset"] >= 0.94
    assert measured["accuracy_carried"] >= 0.94
    assert measured["density"] <= 0.15


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("run", "nowhere.aedat4"), "nowhere.aedat4"),
        (("run", CLIPS[0] if CLIPS else "", "--model", "nothing"), "available: "),
        (("run", "camera"), "camera"),
        (("run", "tcp://127.0.0.1:1"), "127.0.0.1"),
        (("info", "README.txt"), "README.txt"),
        (("gui", "--pre-roll", "90"), "give 0 to 60 seconds"),
        (("eval", "--model", "nmnist", "--dataset", "nmnist", "--data", "nowhere"), "nowhere"),
    ],
    ids=lambda value: "-".join(map(str, value[:2])) if isinstance(value, tuple) else "",
)
def test_what_goes_wrong_is_one_line_and_exit_code_1(arguments: tuple, says: str, run_here: RunHere) -> None:
    code, output, errors = run_here(*arguments)
    assert code == 1
    assert output == ""
    assert len(errors.strip().splitlines()) == 1
    assert says in errors


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_output_that_cannot_be_written_is_one_line() -> None:
    with open("/dev/full", "w") as full:
        command = [sys.executable, "-m", "livesnn", "info", str(CLIPS[0])]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("livesnn info: can't write the output (")
    assert done.stderr.count("\n") == 1


def test_a_terminal_without_our_signs_gets_question_marks() -> None:
    code, lines, errors = finish(livesnn("info", CLIPS[0], PYTHONIOENCODING="ascii"))
    assert code == 0, errors
    assert any("128?128" in line for line in lines)


def test_an_error_is_one_line_whatever_the_name_holds(run_here: RunHere) -> None:
    code, _, errors = run_here("info", "no\nwhere\x1b[31m")
    assert code == 1
    assert errors.startswith(r"livesnn info: no where\x1b[31m: no such file")
    assert errors.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "taken"),
    [
        (("--debug", "info", "nowhere"), True),
        (("info", "nowhere", "--debug"), True),
        (("info", "--", "--debug"), False),
        (("run", "nowhere", "--model=--debug"), False),
    ],
)
def test_debug_is_taken_only_at_the_ends_and_raises_the_error(arguments: tuple, taken: bool) -> None:
    if taken:
        with pytest.raises(SourceError):
            main([*arguments])
    else:
        assert main([*arguments]) == 1


@pytest.mark.skipif(os.name != "posix", reason="needs links")
def test_simulate_leaves_a_link_that_it_did_not_make(tmp_path: Path, run_here: RunHere) -> None:
    link = tmp_path / "a.aedat4"
    link.symlink_to(tmp_path / "nowhere")
    code, _, errors = run_here("simulate", link, "--seconds", "0.1")
    assert code == 1
    assert errors.count("\n") == 1
    assert link.is_symlink()


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="the system knows no terminals that are closed")
def test_with_nohup_a_closed_terminal_ends_nothing(tmp_path: Path) -> None:
    out = tmp_path / "a.aedat4"
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        process = livesnn("record", "simulate:gestures", out, "--seconds", "2")
    finally:
        signal.signal(signal.SIGHUP, before)
    eventually(out.exists, 60)
    process.send_signal(signal.SIGHUP)
    code, _, errors = finish(process, 60)
    assert code == 0
    seconds = re.search(r"events in [0-9.]+ s \(([0-9.]+) s by the clock\) written", errors)
    assert seconds is not None
    assert float(seconds[1]) > 1.8


def test_of_several_streams_record_and_run_say_which_they_leave_out(
    tmp_path: Path, data_dir: Path, run_here: RunHere
) -> None:
    stereo = data_dir / "recordings" / "aedat4" / "derived_stereo_two_event_streams.aedat4"
    code, _, errors = run_here("record", stereo, tmp_path / "a.aedat4")
    assert code == 0
    assert "the event stream RIGHT_CAM/events is left out" in errors
    code, _, errors = run_here("run", stereo, "--engine", "onnx")
    assert code == 0
    assert "only one event stream was read, without RIGHT_CAM/events" in errors
    code, output, errors = run_here("run", f"{stereo}?stream=RIGHT_CAM", "--engine", "onnx", "--json")
    assert code == 0
    assert json.loads(output.splitlines()[-1])["summary"]["events"] > 0
    assert "only one event stream was read, without LEFT_CAM/events" in errors


@pytest.mark.parametrize(
    ("out", "flags", "says"),
    [
        ("there.aedat4", (), "exists already"),
        ("nofolder/new.aedat4", (), "can't be written"),
        ("new.aedat4", ("--seed", "-1"), "--seed can't be -1"),
        ("new.aedat4", ("--scene", "fog"), "no scene"),
        ("new.aedat4", ("--sensor", "big"), "'big' isn't a sensor size"),
    ],
)
def test_simulate_says_at_once_what_it_cannot_do(
    tmp_path: Path, out: str, flags: tuple[str, ...], says: str, run_here: RunHere
) -> None:
    (tmp_path / "there.aedat4").write_bytes(b"mine")
    # An hour's scene would outlast this test if it were simulated first.
    code, _, errors = run_here("simulate", tmp_path / out, "--seconds", "3600", *flags)
    assert code == 1
    assert says in errors
    assert [(file.name, file.read_bytes()) for file in tmp_path.iterdir()] == [("there.aedat4", b"mine")]


@pytest.mark.skipif(sys.platform == "win32", reason="signals are others there")
def test_a_program_that_ignores_its_end_does_not_outlast_the_command_that_started_it(tmp_path: Path) -> None:
    program = tmp_path / "deaf.py"
    program.write_text(
        "import os, pathlib, signal, sys, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "pathlib.Path(sys.argv[1]).write_text(str(os.getpid()))\n"
        "time.sleep(600)\n"
    )
    mark = tmp_path / "number"
    action = f"{sys.executable} {program} {mark}"
    process = livesnn("run", recordings_dir() / "arm_roll.aedat4", "--on-decision", action)
    eventually(lambda: (mark.exists() and mark.read_text()) or process.poll() is not None, 60)
    process.send_signal(signal.SIGTERM)
    code, _, errors = finish(process)
    assert (code, errors) == (143, "livesnn run: stopped\n")
    with pytest.raises(ProcessLookupError):
        os.kill(int(mark.read_text()), 0)


def test_a_copy_of_a_damaged_recording_says_what_is_lost(tmp_path: Path, run_here: RunHere) -> None:
    whole = Path(CLIPS[0]).read_bytes()
    (tmp_path / "cut.aedat4").write_bytes(whole[: len(whole) // 2])
    code, _, errors = run_here("record", tmp_path / "cut.aedat4", tmp_path / "copy.aedat4")
    assert code == 0
    *warnings, written = errors.splitlines()
    assert warnings
    assert all(line.startswith("livesnn record: ") for line in warnings)
    assert "written to" in written


def test_a_data_set_is_checked_with_a_verdict(tmp_path: Path, run_here: RunHere) -> None:
    data = trees.lab(tmp_path)
    code, output, errors = run_here("data", "check", "folder", "--data", data)
    assert (code, errors.splitlines()[-1]) == (
        0,
        "2 complete, 0 incomplete, 0 missing, 0 unusable, 0 damaged",
    )
    assert [line.split()[0] for line in output.splitlines()] == ["complete", "complete"]
    (data / "nod" / "ann" / "0.aedat4").write_bytes(b"nothing")
    code, line, _ = run_here("data", "check", "folder", "--data", data, "--json")
    assert code == 1
    assert [finding["state"] for finding in json.loads(line)] == ["damaged", "complete", "complete"]
