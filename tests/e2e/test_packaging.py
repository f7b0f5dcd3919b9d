"""What is installed: a wheel carries models and recordings, and the app carries no torch."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.mark.slow
def test_a_wheel_in_a_fresh_environment_loads_the_shipped_model(tmp_path: Path) -> None:
    """Dependencies are lent by a path to this environment's, so that nothing is downloaded."""
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", tmp_path, REPOSITORY]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    venv.create(tmp_path / "fresh")
    python = tmp_path / "fresh" / "bin" / "python"
    install = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps", wheel]
    subprocess.run(install, check=True)
    site = subprocess.check_output(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], text=True
    ).strip()
    Path(site, "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    program = (
        "import livesnn; from livesnn.paths import recordings_dir\n"
        "print(livesnn.__file__); print(livesnn.load_model('nmnist').card.name)\n"
        "print(len(list(recordings_dir().glob('*.aedat4'))))"
    )
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [python, "-c", program], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    where, name, clips = done.stdout.split()
    assert Path(where).is_relative_to(site)
    assert name.startswith("nmnist")
    assert int(clips) > 0
    assert Path(where).with_name("outputs").joinpath("page", "index.html").is_file()


@pytest.mark.parametrize(
    "module",
    [
        "livesnn",
        "livesnn.cli.machine",
        "livesnn.cli.models",
        "livesnn.cli.recordings",
        "livesnn.cli.serving",
        "livesnn.cli.streams",
        "livesnn.app.application",
        "livesnn.outputs.lines",
        "livesnn.outputs.web",
    ],
)
def test_the_app_and_the_live_path_load_no_torch(module: str) -> None:
    program = f"import {module}, sys; print([m for m in ('torch', 'lightning', 'onnx') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_importing_livesnn_loads_no_qt() -> None:
    program = "import livesnn, sys; print('PySide6' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
