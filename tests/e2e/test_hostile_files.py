"""Every file of the folder hostile/ of the reference data, through the commands that may meet it.

Each of these files once crashed a command, froze it, took gigabytes or gave nothing without a word.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.synthetic import moving_bar, write_recording

MOST_CPU_S, MOST_BYTES = 5.0, 1_000_000_000
RUN_CASES = """
import contextlib, io, json, sys, time
from pathlib import Path

from livesnn import load_model
from livesnn.__main__ import main
from livesnn.errors import LivesnnError

def load(folder):
    try:
        load_model(folder)
    except LivesnnError as error:
        print(error, file=sys.stderr)
        return 1
    return 0

for name, arguments in json.load(sys.stdin):
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    said, begun_s = io.StringIO(), time.process_time()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
        code = load(*arguments[1:]) if arguments[0] == "load_model" else main(arguments)
    taken_s = time.process_time() - begun_s
    peak = Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0]
    print(json.dumps([name, code, said.getvalue(), taken_s, int(peak) * 1024]), flush=True)
"""

Line = list[str]


@pytest.fixture
def hostile(data_dir: Path) -> Path:
    if sys.platform != "linux":
        pytest.skip("how much memory a command takes at most is only known on Linux")
    folder = data_dir / "hostile"
    if not folder.is_dir():
        pytest.skip(f"no folder {folder}, which holds files that once broke something")
    return folder


def run_each(lines: Iterator[tuple[str, Line]]) -> Iterator[tuple[str, int, str, float, int]]:
    """Run commands in one process; yield the name, exit code, errors, CPU time in s and peak in bytes of each."""
    done = subprocess.run(
        [sys.executable, "-c", RUN_CASES],
        input=json.dumps(list(lines)),
        capture_output=True,
        text=True,
        timeout=240,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        check=False,
    )
    results = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0, f"after {[name for name, *_ in results]}: {done.returncode} {done.stderr[-500:]}"
    yield from map(tuple, results)


def in_two_classes(file: Path, good: Path, folder: Path) -> Path:
    """Return a data set of two classes: a file, and a good one."""
    for name, source in (("a", file), ("b", good)):
        (folder / file.name / name).mkdir(parents=True)
        (folder / file.name / name / source.name).symlink_to(source)
    return folder / file.name


COMMANDS: dict[str, Callable[[Path, Path, Path, Path], Line]] = {
    "info": lambda file, good, model, out: ["info", str(file), "--json"],
    "run": lambda file, good, model, out: ["run", str(file), "--model", str(model), "--json"],
    "convert": lambda file, good, model, out: ["convert", str(file), str(out / f"{file.name}.aedat4")],
    "data check": lambda file, good, model, out: [
        "data", "check", "folder", "--data", str(in_two_classes(file, good, out))
    ],
}  # fmt: skip
MODEL_COMMANDS: dict[str, Callable[[Path, Path], Line]] = {
    "run --model": lambda model, good: ["run", str(good), "--model", str(model)],
    "load_model": lambda model, good: ["load_model", str(model)],
}


def assert_withstood(results: Iterator[tuple[str, int, str, float, int]]) -> None:
    wrong = []
    for name, code, said, taken_s, peak in list(results)[1:]:  # the first one compiles
        one_line = code == 0 or (code == 1 and said.count("\n") == 1 and "unexpected" not in said)
        if not one_line or taken_s > MOST_CPU_S or peak > MOST_BYTES:
            wrong.append(f"{name}: {code}, {taken_s:.1f} s, {peak / 1e6:.0f} MB: {said[-300:]}")
    assert wrong == []


@pytest.mark.parametrize("command", COMMANDS)
def test_a_hostile_file_is_read_or_refused_in_one_line_in_five_seconds_and_a_gigabyte(
    hostile: Path, command: str, recording: Path, model_folder: Path, tmp_path: Path
) -> None:
    files = [recording, *sorted(path for path in hostile.iterdir() if path.is_file())]
    lines = ((file.name, COMMANDS[command](file, recording, model_folder, tmp_path)) for file in files)
    assert_withstood(run_each(lines))


@pytest.mark.parametrize("command", MODEL_COMMANDS)
def test_a_hostile_model_is_refused_in_one_line_in_five_seconds_and_a_gigabyte(
    hostile: Path, command: str, model_folder: Path, tmp_path: Path
) -> None:
    good = write_recording(tmp_path / "good.npz", moving_bar(300_000))
    folders = [model_folder, *sorted(path for path in (hostile / "models").iterdir() if path.is_dir())]
    lines = ((folder.name, MODEL_COMMANDS[command](folder, good)) for folder in folders)
    assert_withstood(run_each(lines))
