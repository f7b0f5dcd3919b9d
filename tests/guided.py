"""Fuzzing guided by coverage, of parsers that are written in Python: `make fuzz-guided KIND=graph MINUTES=10`.

atheris changes octets so that more of the code is reached. OSS-Fuzz runs such targets. What has to be built to be
reached is in structures.py and model_structures.py.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["livesnn"]):
    from livesnn.card import ModelCard
    from livesnn.errors import LivesnnError
    from livesnn.events.labels import labels_file, read_labels
    from livesnn.events.recording import open_recording
    from livesnn.onnx_graph import check_graph, graph_card
    from tests.good_files import good_files
    from tests.model_structures import shipped_graph

FOLDER = Path(tempfile.mkdtemp(prefix="livesnn-guided-"))


def graph(octets: bytes) -> None:
    graph_card(octets)
    check_graph(octets)


def card(octets: bytes) -> None:
    ModelCard.from_json(octets)


def labels(octets: bytes) -> None:
    recording = FOLDER / "f.aedat4"
    labels_file(recording).write_bytes(octets)
    read_labels(recording)


def recording(suffix: str) -> Callable[[bytes], None]:
    def read(octets: bytes) -> None:
        path = FOLDER / f"f{suffix}"
        path.write_bytes(octets)
        with open_recording(path) as opened:
            for _ in opened:
                pass

    return read


TARGETS: dict[str, Callable[[bytes], None]] = {
    "graph": graph,
    "card": card,
    "labels": labels,
    **{kind: recording(f".{kind}") for kind in ("aedat4", "aedat", "raw", "dat", "es", "csv", "npz", "mcap")},
}


def write_seeds(kind: str, folder: Path) -> None:
    """Write sound files of a kind, from which changes begin."""
    if kind == "graph":
        model = shipped_graph()
        del model.graph.initializer[:]  # megabytes of weights
        (folder / "graph").write_bytes(model.SerializeToString())
    for number, good in enumerate(good_files(FOLDER)):
        if good.suffix == f".{kind}":
            (folder / str(number)).write_bytes(good.octets)


def main() -> None:
    kind = sys.argv.pop(1)
    target, seeds = TARGETS[kind], FOLDER / "seeds"
    seeds.mkdir()
    write_seeds(kind, seeds)
    sys.argv.append(str(seeds))

    def refused_or_read(octets: bytes) -> None:
        try:
            target(octets)
        except LivesnnError as error:
            if "\n" in str(error):
                raise RuntimeError("an error of two lines") from error

    atheris.Setup(sys.argv, refused_or_read)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
