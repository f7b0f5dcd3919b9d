"""Weights that can't be read, or that their card doesn't describe, are an error of one line."""

from __future__ import annotations

import json
import re
import shutil
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from safetensors.numpy import save_file

from livesnn.card import ModelCard
from livesnn.errors import ModelError
from livesnn.infer.load import load_model, model_folder
from livesnn.onnx_graph import write_model
from livesnn.paths import models_dir
from livesnn.weights import CARD_KEY, Weights, load_card, load_weights
from tests.mutations import forget_peak, peak_bytes


def written(path: Path, kind: str, size: int) -> Path:
    """Write a tensor of two numbers of so many bytes each as a safetensors file, which carries no card."""
    header = json.dumps({"weight": {"dtype": kind, "shape": [2], "data_offsets": [0, 2 * size]}}).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header + bytes(2 * size))
    return path


@pytest.mark.parametrize(
    ("kind", "size", "says"),
    [
        ("F32", 4, "carries no model card"),
        ("BF16", 2, "the data type BF16, which isn't supported"),
        ("F8_E4M3", 1, "the data type F8_E4M3"),
        ("F33", 4, "can't be read as safetensors"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, kind: str, size: int, says: str) -> None:
    with pytest.raises(ModelError, match=says):
        load_weights(written(tmp_path / "model.safetensors", kind, size))


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """Return a copy of a shipped model, its two files bound to each other."""
    folder = Path(shutil.copytree(model_folder("nmnist"), tmp_path / "own"))
    weights, card = load_weights(folder / "model.safetensors")
    write_model(folder, weights, onnx.load(folder / "model.onnx"), card)
    return folder


def write(file: Path, weights: Weights, card: ModelCard | dict[str, Any]) -> None:
    """Write a model.safetensors whose card says whatever is given."""
    save_file(weights, file, {CARD_KEY: card.to_json() if isinstance(card, ModelCard) else json.dumps(card)})


def test_each_shape_of_a_card_follows_from_its_network_and_input() -> None:
    for name in ("gestures", "nmnist", "objects", "mnist-seq2"):
        card = load_card(model_folder(name) / "model.safetensors")
        assert [*card.layer_shapes().items()] == [*card.states.items()]


@pytest.mark.parametrize(
    "wrong",
    [
        lambda card: replace(card, states=card.states | {"block1.1.first": (64, 9, 8)}),
        lambda card: replace(card, states=dict(reversed(card.states.items()))),
        lambda card: replace(card, states={"stem": card.states["stem"]}),
        lambda card: replace(card, states=card.states | {"more": (64, 9, 9)}),
        lambda card: replace(card, network=replace(card.network, stem_stride=4096)),
    ],
)
def test_a_card_whose_layers_are_not_its_network_s_is_refused_before_a_step(own: Path, wrong: Any) -> None:
    weights, card = load_weights(own / "model.safetensors")
    write(own / "model.safetensors", weights, wrong(card))
    with pytest.raises(ModelError, match=r"the card gives .*, but its network has .*: copy the model again"):
        load_model(own, "spike")


def test_a_card_without_layers_is_read_with_its_network_s(own: Path) -> None:
    weights, card = load_weights(own / "model.safetensors")
    write(own / "model.safetensors", weights, replace(card, states={}))
    assert load_weights(own / "model.safetensors")[1] == card


def test_both_files_of_a_model_carry_both_hashes(own: Path) -> None:
    card = load_card(own / "model.safetensors")
    assert load_model(own, "onnx").card == card
    assert len({card.weights_sha256, card.graph_sha256, ""}) == 3


def test_other_weights_under_an_equal_card_are_refused(own: Path) -> None:
    weights, card = load_weights(own / "model.safetensors")
    name = "stem.conv.weight"
    write(own / "model.safetensors", weights | {name: -weights[name]}, card)
    with pytest.raises(ModelError, match=r"model\.safetensors has other weights than its card says"):
        load_model(own, "spike")


def test_another_graph_under_an_equal_card_is_refused(own: Path) -> None:
    model = onnx.load(own / "model.onnx")
    tensor = max(model.graph.initializer, key=lambda each: len(each.raw_data))
    tensor.raw_data = tensor.raw_data[::-1]
    onnx.save(model, own / "model.onnx")
    with pytest.raises(ModelError, match=r"model\.onnx has another network than its card says"):
        load_model(own, "onnx")


@pytest.mark.parametrize("engine", ["onnx", "spike"])
def test_a_model_from_before_the_hashes_loads(own: Path, engine: Any) -> None:
    weights, card = load_weights(own / "model.safetensors")
    older = replace(card, weights_sha256="", graph_sha256="")
    model = onnx.load(own / "model.onnx")
    onnx.helper.set_model_props(model, {CARD_KEY: older.to_json()})
    onnx.save(model, own / "model.onnx")
    write(own / "model.safetensors", weights, older)
    assert load_model(own, engine).card == older


PATH_OF_A_MACHINE = re.compile(
    rb"/(home|root|tmp|usr|opt|Users|work|mnt|data|workspace)/|site-packages|[A-Z]:\\\\\w+\\\\|[a-z_]{4}\.py\b"
)


@pytest.mark.parametrize("file", sorted(models_dir().rglob("model.*")), ids=lambda file: file.parent.name)
def test_no_shipped_file_names_a_path_of_the_machine_that_wrote_it(file: Path) -> None:
    assert PATH_OF_A_MACHINE.findall(file.read_bytes()) == []


def test_a_graph_with_paths_in_its_notes_is_written_without_them(own: Path) -> None:
    weights, card = load_weights(own / "model.safetensors")
    model = onnx.load(own / "model.onnx")
    model.graph.node[0].metadata_props.add(key="pkg.torch.onnx.stack_trace", value="/home/anna/net.py, line 3")
    model.graph.initializer[0].doc_string = "/home/anna/net.py"
    write_model(own, weights, model, card)
    assert not PATH_OF_A_MACHINE.search((own / "model.onnx").read_bytes())


@pytest.mark.parametrize("kind", [np.float16, np.float64])
def test_weights_of_other_floats_run_in_float32(own: Path, kind: type[np.floating[Any]]) -> None:
    weights, card = load_weights(own / "model.safetensors")
    other = {name: array.astype(kind) for name, array in weights.items()}
    write(own / "model.safetensors", other, replace(card, weights_sha256=""))
    assert {array.dtype for array in load_weights(own / "model.safetensors")[0].values()} == {np.dtype("f4")}


def test_a_float64_beyond_float32_is_named(own: Path) -> None:
    weights, card = load_weights(own / "model.safetensors")
    huge = {"classify.bias": np.full(len(card.classes), 1e300)}
    write(own / "model.safetensors", weights | huge, replace(card, weights_sha256=""))
    with pytest.raises(ModelError, match=r"classify\.bias holds NaN or infinity"):
        load_model(own, "spike")


def test_a_layer_s_name_never_makes_a_message_of_two_lines(own: Path) -> None:
    weights, card = load_weights(own / "model.safetensors")
    write(own / "model.safetensors", weights, replace(card, states=card.states | {"a\nb": (1,)}))
    with pytest.raises(ModelError, match=r"the card gives the layer 'a\\nb' \[1\]"):
        load_weights(own / "model.safetensors")


def test_pools_larger_than_what_they_read_are_refused(own: Path) -> None:
    weights, card = load_weights(own / "model.safetensors")
    write(own / "model.safetensors", weights, replace(card, network=replace(card.network, final_pool=99)))
    with pytest.raises(ModelError, match="the classifier's pools of 99×99 are larger than what they read"):
        load_model(own, "spike")


def test_a_card_of_other_widths_takes_no_memory_in_torch(own: Path) -> None:
    pytest.importorskip("torch", reason="needs livesnn[train]")
    weights, card = load_weights(own / "model.safetensors")
    wide = replace(card, network=replace(card.network, widths=(4096,) * 4), weights_sha256="", states={})
    write(own / "model.safetensors", weights, wide)
    before_bytes = forget_peak()
    with pytest.raises(ModelError, match=r"\(64, 2, 7, 7\), not \(4096, 2, 7, 7\) as in this network"):
        load_model(own, "torch")
    assert peak_bytes() - before_bytes < 700 << 20  # with torch itself, where no test has imported it yet


def test_what_a_damaged_file_says_is_one_line(tmp_path: Path) -> None:
    header = b'{"a\\nb":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'
    path = tmp_path / "model.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(4))
    with pytest.raises(ModelError, match="a tensor 'a") as raised:
        load_weights(path)
    assert str(raised.value).isprintable()
    header = header.replace(b"F32", b"F3\\n2")
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(4))
    with pytest.raises(ModelError, match="can't be read as safetensors") as raised:
        load_weights(path)
    assert str(raised.value).isprintable()
