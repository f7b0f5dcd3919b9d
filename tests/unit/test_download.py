"""Downloads, from a server of our own: kept only when they are whole; what can't be downloaded is said in words."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import get_args

import pytest

from livesnn.errors import DataError
from livesnn.train.datasets.mnist import download_mnist
from livesnn.train.datasets.registry import download
from livesnn.train.datasets.request import Name
from tests import trees

CONTENT = b"what the server has" * 1000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/missing":
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        self.wfile.write(CONTENT if self.path == "/whole" else CONTENT[:500])

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    served = HTTPServer(("127.0.0.1", 0), _Handler)
    thread = threading.Thread(target=served.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{served.server_port}"
    served.shutdown()
    thread.join()
    served.server_close()


def test_what_has_arrived_whole_is_kept(server: str, tmp_path: Path) -> None:
    file = download_mnist(tmp_path / "new", f"{server}/whole", SHA256)
    assert file == tmp_path / "new" / "mnist.npz"
    assert file.read_bytes() == CONTENT


def test_a_file_that_is_there_is_never_written_over(tmp_path: Path) -> None:
    file = trees.mnist(tmp_path) / "mnist.npz"
    before = file.read_bytes()
    assert download("mnist-seq1", file.parent) == file
    assert file.read_bytes() == before
    file.write_bytes(before[:100])
    with pytest.raises(DataError, match=r"mnist\.npz can't be read"):
        download("mnist-seq1", file.parent)
    assert file.read_bytes() == before[:100]


@pytest.mark.parametrize("path", ["half", "missing"])
def test_half_a_download_is_an_error_and_leaves_nothing(path: str, server: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="try again, or put the file into"):
        download_mnist(tmp_path, f"{server}/{path}", SHA256)
    assert list(tmp_path.iterdir()) == []


def test_a_file_with_another_content_is_not_kept(server: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="hash"):
        download_mnist(tmp_path, f"{server}/whole", "0" * 64)
    assert list(tmp_path.iterdir()) == []


def test_what_takes_no_files_is_nothing_to_get(tmp_path: Path) -> None:
    assert download("gestures-sim", tmp_path) is None


@pytest.mark.parametrize(
    "name", [name for name in get_args(Name) if not name.startswith("mnist-") and name != "gestures-sim"]
)
def test_what_no_program_may_download_says_what_to_put_where(name: str, tmp_path: Path) -> None:
    with pytest.raises(DataError) as error:
        download(name, tmp_path)
    assert "\n" not in str(error.value)
    assert str(tmp_path) in str(error.value)
