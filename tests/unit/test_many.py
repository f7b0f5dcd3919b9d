"""livesnn run of many recordings: a row each in a table, whoever is killed meanwhile."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from multiprocessing import active_children
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest

from livesnn.__main__ import main
from livesnn.errors import LivesnnError
from livesnn.outputs.lines import RunOptions
from livesnn.outputs.many import File, decide, in_processes, open_table
from tests.waiting import eventually

pytestmark = pytest.mark.timeout(500)
WAIT_S = 400.0  # never reached, unless something hangs
TIMED = ("seconds", "latency_ms")
"""Fields that differ from run to run."""


@pytest.fixture
def recordings(recording: Path, tmp_path: Path) -> Callable[[int], Path]:
    """Return a function that makes a folder of so many recordings, a part of them in a folder below."""

    def make(count: int) -> Path:
        folder = tmp_path / "recordings"
        (folder / "below").mkdir(parents=True)
        for number in range(count):
            (folder / ("below" if number % 3 == 0 else ".") / f"{number:03d}.npz").hardlink_to(recording)
        return folder

    return make


def rows_of(table: Path) -> list[dict[str, Any]]:
    """Return the rows of a table of JSON lines."""
    return [json.loads(line) for line in table.read_text().splitlines()]


def names_of(table: Path) -> list[str]:
    return sorted(Path(row["file"]).name for row in rows_of(table))


def numbered(count: int) -> list[str]:
    return [f"{number:03d}.npz" for number in range(count)]


@contextmanager
def started(*command: str | Path, **options: Any) -> Iterator[subprocess.Popen[str]]:
    """Start a Python module with its arguments; kill it at the end."""
    process = subprocess.Popen([sys.executable, "-m", *map(str, command)], text=True, **options)
    try:
        yield process
    finally:
        process.kill()
        process.communicate(timeout=WAIT_S)


def printed_by_run(file: Path, model: Path, capsys: pytest.CaptureFixture[str]) -> tuple[list[Any], Any]:
    """Return lines and summary of `livesnn run FILE --json`."""
    capsys.readouterr()
    assert main(["run", str(file), "--model", str(model), "--json"]) == 0
    *lines, last = map(json.loads, capsys.readouterr().out.splitlines())
    return lines, {name: value for name, value in last["summary"].items() if name not in TIMED}


@pytest.fixture
def row(recording: Path, model_folder: Path) -> bytes:
    """Return a recording's row."""
    decided = decide(File("bar", str(recording)), RunOptions(str(model_folder)), threads=1)
    assert isinstance(decided, bytes)
    return decided


def as_cells(values: dict[str, Any]) -> dict[str, Any]:
    """Return values with lists and objects as JSON."""
    return {
        name: msgspec.json.encode(value).decode() if isinstance(value, list | dict) else value
        for name, value in values.items()
    }


def test_a_row_holds_what_livesnn_run_prints_about_the_recording(
    recording: Path, model_folder: Path, row: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines, summary = printed_by_run(recording, model_folder, capsys)
    assert json.loads(row)["lines"] == lines
    assert {name: json.loads(row)[name] for name in summary} == summary
    with closing(open_table(tmp_path / "table.csv")) as table:
        table.add(row)
    with open(tmp_path / "table.csv", newline="") as file:
        (cells,) = csv.DictReader(file)
    as_text = {name: "" if value is None else str(value) for name, value in as_cells(summary).items()}
    assert {name: cells[name] for name in summary} == as_text


def test_two_programs_cannot_write_the_same_table(row: bytes, tmp_path: Path) -> None:
    for kind in ("jsonl", "csv"):
        with closing(open_table(tmp_path / f"table.{kind}")) as one:
            with closing(open_table(tmp_path / f"table.{kind}")) as other:
                other.add(row)
            with pytest.raises(LivesnnError, match="another program writes to it"), closing(one):
                one.add(row)
        with closing(open_table(tmp_path / f"table.{kind}")) as table:
            assert [*table.done] == ["bar"]


@pytest.mark.parametrize("kind", ["jsonl", "csv"])
def test_half_a_row_is_cut_off(kind: str, row: bytes, tmp_path: Path) -> None:
    path = tmp_path / f"table.{kind}"
    with closing(open_table(path)) as table:
        table.add(row)
        whole = path.read_bytes()
        table.add(row.replace(b'"bar"', b'"other"', 1))
    path.write_bytes(path.read_bytes()[:-9])
    with closing(open_table(path)) as table:
        assert [*table.done] == ["bar"]
    assert path.read_bytes() == whole


def test_a_second_run_skips_what_has_a_row_and_tries_again_what_failed(
    recordings: Callable[[int], Path],
    recording: Path,
    model_folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder, table = recordings(3), tmp_path / "table.jsonl"
    damaged = folder / "damaged.npz"
    damaged.write_bytes(b"damaged")
    command = ["run", str(folder / "**/*.npz"), str(folder / "001.npz"), "--model", str(model_folder)]
    command += ["--out", str(table), "--jobs", "1"]
    assert main(command) == 1
    said = capsys.readouterr()
    assert "3 decided, 0 skipped, 1 failed" in said.out
    (line,) = [line for line in said.err.splitlines() if "damaged.npz" in line]
    assert line.startswith(f"livesnn run: {damaged}: ")
    damaged.unlink()
    damaged.hardlink_to(recording)
    assert main([*command, "--json"]) == 0
    done = json.loads(capsys.readouterr().out)["summary"]
    assert (done["recordings"], done["decided"], done["skipped"], done["failed"]) == (4, 1, 3, 0)
    assert main(command) == 0
    assert "0 decided, 4 skipped, 0 failed" in capsys.readouterr().out
    assert names_of(table) == [*numbered(3), "damaged.npz"]


def test_a_run_that_is_killed_leaves_whole_rows_and_goes_on_from_there(
    recordings: Callable[[int], Path], model_folder: Path, tmp_path: Path
) -> None:
    table = tmp_path / "table.jsonl"
    command = ("run", recordings(24) / "**/*.npz", "--model", model_folder, "--out", table, "--jobs", "2")
    with started("livesnn", *command) as process:
        eventually(lambda: table.exists() and len(table.read_bytes().splitlines()) >= 3, WAIT_S)
        workers = psutil.Process(process.pid).children(recursive=True)
        process.kill()
    done = names_of(table)
    assert 3 <= len(done) < 24
    eventually(lambda: not any(map(psutil.Process.is_running, workers)))
    assert main([*map(str, command)]) == 0
    assert names_of(table) == numbered(24)


def test_a_process_that_is_killed_costs_no_recording(recordings: Callable[[int], Path], model_folder: Path) -> None:
    files = [File(path.name, str(path)) for path in sorted(recordings(8).rglob("*.npz"))]
    outcomes = {}
    for file, outcome in in_processes(files, RunOptions(str(model_folder)), jobs=2):
        if not outcomes:
            active_children()[0].kill()
        assert file.name not in outcomes
        outcomes[file.name] = outcome
    assert sorted(outcomes) == numbered(8)
    assert not [outcome for outcome in outcomes.values() if isinstance(outcome, str)]


def test_a_worker_loads_a_model_once(recording: Path, model_folder: Path, tmp_path: Path) -> None:
    model = shutil.copytree(model_folder, tmp_path / "model")
    file, options = File("bar", str(recording)), RunOptions(str(model))
    first = decide(file, options, threads=1)
    shutil.rmtree(model)
    second = decide(file, options, threads=1)
    assert isinstance(first, bytes)
    assert isinstance(second, bytes)
    assert json.loads(second)["lines"] == json.loads(first)["lines"]


def test_shards_share_out_all_recordings(
    recordings: Callable[[int], Path], model_folder: Path, tmp_path: Path
) -> None:
    command = ["run", str(recordings(5) / "**/*.npz"), "--model", str(model_folder), "--jobs", "1"]
    command += ["--out", str(tmp_path / "table.jsonl")]
    for part in ("1/2", "2/2"):
        assert main([*command, "--shard", part]) == 0
    parts = [names_of(tmp_path / f"table-{part}of2.jsonl") for part in (1, 2)]
    assert [len(names) for names in parts] == [3, 2]
    assert sorted(parts[0] + parts[1]) == numbered(5)


def test_every_recording_has_one_row_although_a_worker_of_the_cluster_is_killed(
    recordings: Callable[[int], Path], model_folder: Path, tmp_path: Path
) -> None:
    pytest.importorskip("distributed", reason="needs Dask: pip install 'livesnn[cluster]'")
    place, table = tmp_path / "scheduler.json", tmp_path / "table.jsonl"
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": tmp_path}
    scheduler = ("distributed.cli.dask_scheduler", "--port", "0", "--host", "127.0.0.1", "--no-dashboard")
    worker = ("distributed.cli.dask_worker", "--nthreads", "1", "--no-nanny", "--no-dashboard")
    among = ("--scheduler-file", str(place))
    with (
        started(*scheduler, *among, **quiet) as scheduling,
        started(*worker, *among, **quiet) as killed,
        started(*worker, *among, **quiet),
    ):
        eventually(lambda: place.exists() and place.read_text().rstrip().endswith("}"), WAIT_S)  # written whole
        address = json.loads(place.read_text())["address"]
        command = (
            "run",
            recordings(24) / "**/*.npz",
            "--model",
            model_folder,
            "--out",
            table,
            "--dask",
            address,
        )
        with started("livesnn", *command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            eventually(lambda: table.exists() and len(table.read_bytes().splitlines()) >= 5, WAIT_S)
            killed.kill()
            at_that_time = len(table.read_bytes().splitlines())
            output, errors = process.communicate(timeout=WAIT_S)
        again = [*command[:-3], tmp_path / "again.jsonl", *command[-2:]]
        with started("livesnn", *again, stderr=subprocess.PIPE) as process:
            eventually((tmp_path / "again.jsonl").exists, WAIT_S)
            eventually(lambda: (tmp_path / "again.jsonl").read_bytes(), WAIT_S)
            scheduling.kill()
            _, lost = process.communicate(timeout=WAIT_S)
    assert process.returncode == 1
    assert lost.splitlines()[-1].startswith("livesnn run: the scheduler is lost")
    assert all(line.startswith("livesnn run: ") for line in lost.splitlines()), lost
    assert at_that_time < 24
    assert "24 decided, 0 skipped, 0 failed" in output
    assert names_of(table) == numbered(24)
    assert all(line.startswith("livesnn run: ") for line in errors.splitlines()), errors


def test_a_table_of_other_options_or_of_others_is_left_alone(
    recording: Path, model_folder: Path, row: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["run", str(recording), "--model", str(model_folder), "--out"]
    path = tmp_path / "table.csv"
    with closing(open_table(path)) as table:
        table.add(row)
    whole = path.read_bytes()
    assert main([*command, str(path), "--threshold", "0.9"]) == 1
    assert "has rows of other options" in capsys.readouterr().err
    assert path.read_bytes() == whole
    for kind in ("csv", "jsonl"):
        for text in ("a,b\n1,2\n", "a,b\n1,2", "a line without an end"):
            other = tmp_path / f"other.{kind}"
            other.write_text(text)
            assert main([*command, str(other)]) == 1
            assert "isn't a table of livesnn run" in capsys.readouterr().err
            assert other.read_text() == text


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes with names")
@pytest.mark.parametrize("kind", ["jsonl", "csv"])
def test_a_pipe_or_a_folder_is_no_table(kind: str, tmp_path: Path) -> None:
    pipe, folder = tmp_path / f"pipe.{kind}", tmp_path / f"folder.{kind}"
    os.mkfifo(pipe)
    folder.mkdir()
    for path in (pipe, folder):
        with pytest.raises(LivesnnError, match="this is a folder, a pipe or a device: give another file"):
            open_table(path)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere no file has such a name")
def test_each_recording_has_a_row_of_its_own_whatever_its_name_is(
    recording: Path, model_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = (b"a\xff", b"a\xfe", b"a\nb", b"a\rb", b'a"b', b"a,b", "a\u2028b".encode())
    for name in names:
        os.link(recording, os.path.join(os.fsencode(tmp_path), name + b".npz"))
    command = ["run", str(tmp_path / "*.npz"), "--model", str(model_folder), "--jobs", "1"]
    command += ["--out", str(tmp_path / "table.csv")]
    assert main(command) == 0
    assert f"{len(names)} decided, 0 skipped, 0 failed" in capsys.readouterr().out
    assert main(command) == 0
    assert f"0 decided, {len(names)} skipped, 0 failed" in capsys.readouterr().out


def test_a_recording_that_links_or_paths_name_twice_is_decided_once(
    recordings: Callable[[int], Path], model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, table = recordings(2), tmp_path / "table.jsonl"
    (folder / "below" / "up").symlink_to(folder, target_is_directory=True)
    monkeypatch.chdir(folder)
    command = ["run", "**/*.npz", str(folder / "001.npz"), "--model", str(model_folder), "--jobs", "1"]
    assert main([*command, "--out", str(table)]) == 0
    assert [row["file"] for row in rows_of(table)] == ["001.npz", str(Path("below", "000.npz"))]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["b.npz"], "add --out"),
        (["--out", "table.xlsx"], "ends in .jsonl or .csv"),
        (["--out", "b.labels.csv"], "this is the name of a table of labels"),
        (["--out", "nowhere/table.csv"], "table.csv: No such file or directory"),
        (["--out", "table.csv", "--shard", "3/2"], "--shard can't be '3/2'"),
        (["--out", "table.csv", "--shard", "1"], "--shard can't be '1'"),
        (["--out", "table.csv", "--shard", "1/" + 5000 * "9"], "--shard can't be '1/9"),
        (["--out", "table.csv", "--seconds", "nan"], "can't be read for nan s"),
        (["--out", "table.csv", "--jobs", "0"], "--jobs can't be 0"),
        (["camera", "--out", "table.csv"], "camera never ends"),
        (["no*.npz", "--out", "table.csv"], "no*.npz: no file matches"),
        (["--out", "table.csv", "--model", "none"], "Model 'none' not found"),
        (["--out", "table.csv", "--on-decision", "true"], "--on-decision and --bias are for one source"),
        (
            ["--out", "table.csv", "--jobs", "2", "--dask", "tcp://127.0.0.1:1"],
            "--jobs and --dask can't be combined",
        ),
    ],
)
def test_what_cannot_be_is_one_line_before_any_work(
    arguments: list[str],
    says: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["run", "a.npz", *arguments]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert says in line
    assert os.listdir() == []


def test_it_is_said_which_library_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "distributed", None)
    assert main(["run", "a.npz", "--out", "table.csv", "--dask", "tcp://127.0.0.1:1"]) == 1
    assert "pip install 'livesnn[cluster]'" in capsys.readouterr().err
