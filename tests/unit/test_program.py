"""The program from its start to its exit code: signals, streams that are closed, and whose modules it imports."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.waiting import eventually

posix = pytest.mark.skipif(sys.platform == "win32", reason="signals and descriptors are others there")
INTERRUPTED_AT = """
import os, signal, sys

module, number = sys.argv[1:3]
del sys.argv[1:3]

class Sender:
    def find_spec(self, name, path=None, target=None):
        if name == module:
            os.kill(os.getpid(), int(number))

sys.meta_path.insert(0, Sender())
from livesnn.__main__ import start
start()
"""
SAID_AFTER = """
import sys
from pathlib import Path
from livesnn import console
from livesnn.__main__ import start

mark, say = Path(sys.argv.pop(1)), console.say
console.say = lambda message: (mark.touch(), say(message))
start()
"""
SHELL = 'exec "$0" -m livesnn "$@"'


@posix
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(
    "module", ["livesnn.threads", "msgspec", "livesnn.cli.commands", "argparse", "livesnn.sources"]
)
def test_a_signal_while_the_program_is_imported_is_one_line_and_its_exit_code(
    module: str, number: int, tmp_path: Path
) -> None:
    line = [sys.executable, "-c", INTERRUPTED_AT, module, str(int(number)), "info", tmp_path / "none.csv"]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    assert done.returncode == 128 + number
    assert done.stderr in ("livesnn: stopped\n", "livesnn info: stopped\n")


@posix
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_that_cuts_a_command_short_gives_its_exit_code(number: int, code: int, tmp_path: Path) -> None:
    out = tmp_path / "long.aedat4"
    line = [sys.executable, "-m", "livesnn", "simulate", str(out), "--seconds", "3600"]
    with subprocess.Popen(line, stderr=subprocess.PIPE, text=True) as process:
        # Its first packets are written, so it's past the header.
        eventually(lambda: (out.exists() and out.stat().st_size > 10_000) or process.poll() is not None, 60)
        process.send_signal(number)
        _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (code, "livesnn simulate: stopped\n")
    assert list(tmp_path.iterdir()) == []


@posix
def test_a_closed_stdout_is_said_in_one_line(tmp_path: Path) -> None:
    events = tmp_path / "events.csv"
    events.write_text("t_us,x,y,p\n1,2,3,1\n2,2,3,0\n")
    line = ["sh", "-c", f"{SHELL} >&-", sys.executable, "info", str(events)]
    done = subprocess.run(line, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (
        1,
        "livesnn info: can't write the output (stdout is closed)\n",
    )


@posix
def test_a_usage_error_with_stdout_closed_is_one_line() -> None:
    line = ["sh", "-c", f"{SHELL} >&-", sys.executable, "run", "clip.aedat4", "--nosuch"]
    done = subprocess.run(line, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("livesnn run: ")
    assert done.stderr.count("\n") == 1


@posix
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_an_error_is_said_to_nobody_ends_the_program(number: int, tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with contextlib.suppress(BlockingIOError):
        while os.write(writer, b" " * 4096):
            pass
    os.set_blocking(writer, True)
    line = [sys.executable, "-c", SAID_AFTER, tmp_path / "said", "info", tmp_path / "none.csv"]
    with subprocess.Popen(line, stderr=writer) as process:
        os.close(writer)
        eventually(lambda: (tmp_path / "said").exists(), 60)
        process.send_signal(number)
        assert process.wait(timeout=20) == 128 + number
    with os.fdopen(reader, "rb") as rest:
        assert not rest.read().strip()


@posix
def test_with_every_stream_closed_a_file_is_written_whole(tmp_path: Path) -> None:
    out = tmp_path / "digit.aedat4"
    line = ["sh", "-c", f"{SHELL} <&- >&- 2>&-", sys.executable, "simulate", str(out), "--seconds", "0.2"]
    done = subprocess.run(line, check=False)
    assert done.returncode == 0
    assert out.read_bytes().startswith(b"#!AER-DAT4.0")


def test_python_m_runs_no_module_of_the_current_folder(tmp_path: Path) -> None:
    for name in ("hdf5plugin", "numpy", "msgspec", "argparse"):
        (tmp_path / f"{name}.py").write_text("open('ran', 'w').close()\n")
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONSAFEPATH"}
    line = [sys.executable, "-m", "livesnn", "info", "none.csv"]
    done = subprocess.run(line, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert "no such file" in done.stderr
    assert not (tmp_path / "ran").exists()
