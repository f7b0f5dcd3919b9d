"""What is installed: the wheel with models and recordings, the app without torch, the container, the service."""

from __future__ import annotations

import configparser
import json
import os
import re
import runpy
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from pathlib import Path
from xml.etree import ElementTree

import pytest

from livesnn.cli.commands import COMMANDS
from livesnn.cli.parser import UsageError
from tests.served import free_port

from .conftest import RunHere, livesnn

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


def test_the_app_and_the_live_path_load_no_torch() -> None:
    modules = (
        *(f"cli.{name}" for name in ("machine", "models", "recordings", "serving", "streams", "teaching")),
        *("app.application", "outputs.lines", "outputs.many", "outputs.web"),
    )
    imports = "".join(f"import livesnn.{module}\n" for module in modules)
    program = f"{imports}import sys; print([m for m in ('torch', 'lightning', 'onnx') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_citation_and_the_app_store_s_page_name_the_version() -> None:
    version = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["version"]
    assert f"\nversion: {version}\n" in (REPOSITORY / ".github/CITATION.cff").read_text()
    page = ElementTree.parse(REPOSITORY / "packaging/deb/livesnn.metainfo.xml")
    assert next(page.iter("release")).get("version") == version


def test_the_menu_entry_opens_every_type_of_file_that_the_package_declares() -> None:
    entry = configparser.ConfigParser(interpolation=None)
    entry.read(REPOSITORY / "packaging/deb/livesnn.desktop")
    types = ElementTree.parse(REPOSITORY / "packaging/deb/livesnn.xml")
    declared = [each.get("type") for each in types.iter() if each.tag.endswith("}mime-type")]
    assert entry["Desktop Entry"]["MimeType"].rstrip(";").split(";") == declared
    assert entry["Desktop Entry"]["Exec"].split()[:2] == ["livesnn", "gui"]


def test_the_page_for_newcomers_lists_the_libraries_that_the_package_depends_on() -> None:
    page = (REPOSITORY / "docs/start.md").read_text().replace("\\\n", " ")
    (command,) = re.findall("sudo apt install git make python3-venv (.*)", page)
    assert command.split() == (REPOSITORY / "packaging/qt-libraries.txt").read_text().split()


DOCKERFILE = (REPOSITORY / "packaging/container/Dockerfile").read_text()
SERVICE = REPOSITORY / "packaging/systemd/livesnn@.service"


def instruction(name: str) -> str:
    """Return what follows the last instruction of the Dockerfile of this name."""
    return re.findall(rf"^{name} (.+)$", DOCKERFILE, re.MULTILINE)[-1]


def taken_by_serve(*arguments: str) -> bool:
    """Return whether `livesnn serve` can be run with these arguments, and no SOURCE."""
    try:
        COMMANDS["serve"].parser("serve").given(["camera", *arguments])
    except UsageError:
        return False
    return True


@pytest.mark.release
def test_the_package_can_be_built_from_what_the_container_copies(tmp_path: Path) -> None:
    """In the container, pip builds it, and installs what it depends on."""
    source = tmp_path / "source"
    source.mkdir()
    for *paths, to in map(str.split, re.findall(r"^COPY (?!--)(.+)$", DOCKERFILE, re.MULTILINE)):
        for path in paths:
            target = source / to if len(paths) == 1 else source / to / path
            if target.is_relative_to(source):  # the rest is installed elsewhere
                target.parent.mkdir(parents=True, exist_ok=True)
                copy = shutil.copytree if (REPOSITORY / path).is_dir() else shutil.copy
                copy(REPOSITORY / path, target)
            else:
                assert (REPOSITORY / path).is_file()
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", tmp_path, source]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    held = zipfile.ZipFile(wheel).namelist()
    assert "livesnn/_shipped/models/gestures/model.onnx" in held
    assert "livesnn/outputs/page/index.html" in held
    assert "packaging/constraints.txt" in DOCKERFILE.split("pip install")[1]


def test_the_container_runs_a_command_of_livesnn_and_not_as_root() -> None:
    entry, command = (json.loads(instruction(name)) for name in ("ENTRYPOINT", "CMD"))
    health = json.loads(instruction("HEALTHCHECK").partition(" CMD ")[2])
    assert [*entry, *command[:2]] == ["livesnn", "serve", "camera"]
    assert taken_by_serve(*command[2:])
    assert health[-1] in command[-1]
    assert instruction("USER") == "livesnn"


def test_the_service_runs_a_command_of_livesnn() -> None:
    unit = configparser.ConfigParser(interpolation=None, strict=False)
    unit.optionxform = str  # type: ignore[assignment, method-assign]
    unit.read(SERVICE)
    settings = configparser.ConfigParser(interpolation=None)
    settings.read_string("[set]\n" + SERVICE.with_name("livesnn.conf").read_text())
    program, *words = shlex.split(unit["Service"]["ExecStart"])
    assert (program.rpartition("/")[2], *words) == ("livesnn", "serve", "camera:%I", "$LIVESNN_FLAGS")
    assert taken_by_serve(*settings["set"]["LIVESNN_FLAGS"].split())


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd")
def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    unit = tmp_path / "livesnn@A1.service"
    unit.write_text(SERVICE.read_text().replace("/opt/livesnn/bin/livesnn", sys.executable))
    done = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_health_check_knows_whether_livesnn_answers_and_the_log_has_no_token() -> None:
    token, port = "a token of its own", free_port()
    command = ("serve", "simulate:gestures", "--engine", "onnx", "--web", f"0.0.0.0:{port}")
    check = [sys.executable, REPOSITORY / "packaging/container/health.py", str(port)]

    def healthy(given: str) -> bool:
        variables = os.environ | {"LIVESNN_TOKEN": given, "http_proxy": "http://127.0.0.1:9"}
        return subprocess.run(check, env=variables, capture_output=True).returncode == 0

    assert not healthy(token)
    with livesnn(*command, LIVESNN_TOKEN=token) as server:
        try:
            assert server.stderr is not None
            heard = ""
            while "page at" not in heard:
                line = server.stderr.readline()
                assert line, heard
                heard += line
            assert healthy(token)
            assert not healthy("another one")
        finally:
            server.terminate()
            _, rest = server.communicate(timeout=250)
    assert "?token=$LIVESNN_TOKEN" in heard
    assert token not in heard + rest


def test_the_health_check_asks_by_https_where_there_is_a_certificate() -> None:
    scheme_of = runpy.run_path(str(REPOSITORY / "packaging/container/health.py"))["scheme_of"]
    serve = b"livesnn\0serve\0camera\0--web\x000.0.0.0:7788\0"
    assert scheme_of(serve) == "http"
    assert scheme_of(serve + b"--cert\0cert.pem\0--key\0key.pem\0") == "https"


def test_a_token_that_could_be_guessed_is_refused(run_here: RunHere, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIVESNN_TOKEN", "short")
    ended = run_here("serve", "simulate:gestures", "--web", f"0.0.0.0:{free_port()}")
    assert ended.code == 1
    assert "LIVESNN_TOKEN is shorter than 16 characters" in ended.errors
