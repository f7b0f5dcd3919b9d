"""livesnn doctor: what it says of this machine, of damage, and of libraries that crash or hang."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from livesnn.__main__ import main
from livesnn.cli.doctor import run_all
from livesnn.cli.probes import Check, Findings, library, models, numba_cache, taught, usb, writable
from livesnn.paths import models_dir
from livesnn.subprocesses import environment, start
from livesnn.weights import load_weights, save_weights

pytestmark = pytest.mark.timeout(200)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """Return a copy of a shipped model, in a folder of models."""
    return Path(shutil.copytree(models_dir() / "nmnist", tmp_path / "models" / "nmnist"))


def plug_in(root: Path, vendor: str, product: str) -> tuple[Path, Path]:
    """Return a folder of USB devices with one in it, and the folder of its node, which isn't there yet."""
    device = root / "devices" / "1-2"
    device.mkdir(parents=True)
    parts = {"idVendor": vendor, "idProduct": product, "busnum": "1", "devnum": "7"}
    for name, text in parts.items():
        (device / name).write_text(f"{text}\n")
    (root / "devices" / "usb1").mkdir()
    return device.parent, root / "nodes"


def printing(code: str) -> Findings:
    """Return what doctor makes of a process that runs this code."""
    return next(run_all({"it": partial(start, [sys.executable, "-c", code], environment())}, 30.0))[1]


@pytest.mark.slow
def test_nothing_is_a_problem_on_this_machine(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--json"]) == 0
    out = capfd.readouterr().out
    assert out.count("\n") == 1
    told = json.loads(out)
    assert set(told) == {"ok", "checks", "models", "versions"}
    assert told["ok"] is True
    assert all(set(check) == {"name", "state", "what", "do"} for check in told["checks"])
    states = {check["name"]: check["state"] for check in told["checks"]}
    assert set(states.values()) <= {"ok", "warning"}
    assert {"numpy", "numba cache", "spike engine", "window", "cache folder"} <= set(states)
    assert states["model nmnist"] == states["self-test"] == "ok"
    weights = (models_dir() / "nmnist" / "model.onnx").read_bytes()
    assert told["models"]["nmnist"]["model.onnx"] == hashlib.sha256(weights).hexdigest()
    assert {"livesnn", "python", "numpy", "onnxruntime"} <= set(told["versions"])


@pytest.mark.parametrize("damage", [lambda file: file.write_bytes(file.read_bytes()[:1000]), Path.unlink])
@pytest.mark.parametrize("name", ["model.onnx", "model.safetensors"])
def test_a_damaged_or_missing_file_of_a_model_is_named(
    model: Path, name: str, damage: Callable[[Path], object]
) -> None:
    damage(model / name)
    (check,) = models(model.parent).checks
    assert check.state == "problem"
    assert str(model / name) in check.what
    assert check.do


def test_two_files_of_different_trainings_are_a_problem(model: Path) -> None:
    weights, card = load_weights(model / "model.safetensors")
    save_weights(weights, model / "model.safetensors", replace(card, seeds=(99,)))
    (check,) = models(model.parent).checks
    assert check.state == "problem"
    assert "differ in seeds" in check.what


def test_models_that_were_taught_are_listed_with_where_they_are(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIVESNN_MODELS", str(model.parent / "none"))
    assert not taught().checks
    assert [check.state for check in models(model.parent / "none").checks] == ["problem"]
    monkeypatch.setenv("LIVESNN_MODELS", str(model.parent))
    assert [check.what.split(":")[0] for check in taught().checks] == [
        f"1 in {model.parent}",
        "model nmnist loads, the same card in both files",
    ]
    (model / "model.onnx").unlink()
    assert taught().checks[-1].do == "teach it again, or remove its folder"


def test_a_folder_that_can_not_be_written_says_what_to_set_and_none_is_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    check = writable("cache folder", tmp_path / "file" / "livesnn", "LIVESNN_CACHE", "a folder")
    assert check.state == "warning"
    assert "LIVESNN_CACHE" in check.do
    assert writable("cache folder", tmp_path / "a" / "b", "LIVESNN_CACHE", "a folder").state == "ok"
    assert not (tmp_path / "a").exists()


def test_numba_that_can_not_write_where_it_was_told_to_is_a_warning(tmp_path: Path) -> None:
    (check,) = numba_cache(str(tmp_path)).checks  # numba itself read the environment when it was imported
    assert check.state == "warning"
    assert "NUMBA_CACHE_DIR" in check.do


def test_a_library_that_is_not_there_says_how_to_get_it() -> None:
    (check,) = library("no_such_library", "no-such-library", without="warning").checks
    assert check == Check(
        "no-such-library", "warning", "no-such-library isn't installed", "pip install no-such-library"
    )


def test_a_crash_is_a_problem_with_its_signal() -> None:
    (check,) = printing("import os, sys; print('last words', file=sys.stderr, flush=True); os.abort()").checks
    assert check.state == "problem"
    assert "last words" in check.what
    if sys.platform != "win32":
        assert "SIGABRT" in check.what


def test_what_was_found_before_a_crash_is_kept_and_talk_of_a_library_does_not_matter() -> None:
    told = """print('hello'); print('{"checks": [{"name": "a", "state": "ok", "what": "b"}]}', flush=True)"""
    assert printing(told) == Findings((Check("a", "ok", "b"),))
    assert [check.state for check in printing(f"{told}; import os; os.abort()").checks] == ["ok", "problem"]


def test_a_hanging_library_is_a_problem_and_is_ended() -> None:
    hanging = start([sys.executable, "-c", "import time; time.sleep(600)"], environment())
    ((check,),) = [found.checks for _, found in run_all({"it": lambda: hanging}, 0.5)]
    assert check.state == "problem"
    assert "doesn't answer in time" in check.what
    assert hanging.returncode is not None


@pytest.mark.parametrize(
    ("vendor", "product", "there", "states"),
    [
        ("152a", "841a", True, ["ok"]),
        ("04b4", "00f5", True, ["ok"]),
        ("04b4", "00f5", False, ["problem"]),
        ("152a", "8750", True, []),
    ],
    ids=["DVXplorer", "EVK4", "EVK4 without rights", "sound card"],
)
def test_a_camera_that_is_plugged_in_can_be_opened_or_says_how(
    tmp_path: Path, vendor: str, product: str, there: bool, states: list[str]
) -> None:
    devices, nodes = plug_in(tmp_path, vendor, product)
    (nodes / "001").mkdir(parents=True)
    if there:
        (nodes / "001" / "007").touch()
    checks = usb(devices, nodes).checks
    assert [check.state for check in checks] == states
    if not there:
        assert Path(checks[0].do.split("'")[1]).is_file()


CRASHES = """
import ctypes, sys
from livesnn.console import keep_log
keep_log("run")
ctypes.string_at(0)
"""


def test_the_log_says_where_a_crash_was(tmp_path: Path) -> None:
    died = subprocess.run(
        [sys.executable, "-c", CRASHES], env={**os.environ, "LIVESNN_CACHE": str(tmp_path)}, check=False
    )
    assert died.returncode != 0
    log = (tmp_path / "logs" / "livesnn.log").read_text()
    assert "Fatal Python error: Segmentation fault" in log
    assert re.search(r'File ".*ctypes.*", line \d+ in string_at', log)


@pytest.mark.skipif(sys.platform == "win32", reason="pipes are others there")
def test_a_pipe_in_the_place_of_the_log_is_not_waited_for(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    os.mkfifo(tmp_path / "logs" / "livesnn.log")
    environment = {**os.environ, "LIVESNN_CACHE": str(tmp_path)}
    asked = [sys.executable, "-m", "livesnn", "run", "no.aedat4"]
    done = subprocess.run(asked, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)


def test_a_log_that_has_grown_is_kept_beside_the_next(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "livesnn.log"
    log.parent.mkdir()
    log.write_text("old\n" * 300_000)
    program = "from livesnn.console import keep_log, say; keep_log('serve'); say('new')"
    subprocess.run([sys.executable, "-c", program], env={**os.environ, "LIVESNN_CACHE": str(tmp_path)}, check=True)
    assert log.with_suffix(".old.log").read_text().startswith("old\n")
    assert [line.split(maxsplit=2)[2][:11] for line in log.read_text().splitlines()] == ["livesnn ser", "new"]


def test_a_long_command_keeps_what_it_says_in_a_log_that_others_may_not_read(tmp_path: Path) -> None:
    environment = {**os.environ, "LIVESNN_CACHE": str(tmp_path)}
    for command in ("info", "run"):
        asked = [sys.executable, "-m", "livesnn", command, "no.aedat4"]
        subprocess.run(asked, env=environment, capture_output=True, check=False)
    log = tmp_path / "logs" / "livesnn.log"
    first, second = (line.split(maxsplit=2)[2] for line in log.read_text().splitlines())
    assert first.startswith("livesnn run, process ")
    assert second.startswith("livesnn run: no.aedat4: no such file")
    if os.name == "posix":
        assert log.stat().st_mode & 0o077 == 0
