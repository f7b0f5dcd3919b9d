"""load_model and the ONNX engine, on a network of two layers written node by node."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from livesnn.card import InputSpec, ModelCard, SliceRule
from livesnn.errors import ModelError
from livesnn.events.slicer import Frame
from livesnn.infer.load import load_model, model_folder
from livesnn.infer.model import Model, State
from livesnn.infer.onnx_engine import OnnxModel

CARD = ModelCard(
    name="tiny",
    classes=("zero", "one", "two"),
    input=InputSpec(width=4, height=4, slice=SliceRule(delta_t_us=1000), window=4),
    states={"pool": (2, 2, 2), "classify": (3,)},
)
WEIGHTS = np.random.default_rng(3).normal(size=(8, 3)).astype(np.float32)
Shapes = dict[str, tuple[int, list[int]]]


def graph(inputs: Shapes | None = None, outputs: Shapes | None = None) -> onnx.GraphProto:
    """pool: U' = 0.5·U·(U < 0.5) + mean of 2×2 pixels; classify: U' = 0.5·U + spikes·W, read out as it is."""
    real = TensorProto.FLOAT
    inputs = inputs or {
        "frame": (TensorProto.UINT8, [1, 2, 4, 4]),
        "pool": (real, [1, 2, 2, 2]),
        "classify": (real, [1, 3]),
    }
    outputs = outputs or {
        "output": (real, [1, 3]),
        "pool.next": (real, [1, 2, 2, 2]),
        "classify.next": (real, [1, 3]),
    }
    nodes = [
        helper.make_node("Cast", ["frame"], ["counts"], to=real),
        helper.make_node("AveragePool", ["counts"], ["current"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Less", ["pool", "half"], ["silent"]),
        helper.make_node("Cast", ["silent"], ["kept"], to=real),
        helper.make_node("Mul", ["pool", "kept"], ["rested"]),
        helper.make_node("Mul", ["rested", "half"], ["decayed"]),
        helper.make_node("Add", ["decayed", "current"], ["pool.next"]),
        helper.make_node("GreaterOrEqual", ["pool.next", "half"], ["fired"]),
        helper.make_node("Cast", ["fired"], ["spikes"], to=real),
        helper.make_node("Flatten", ["spikes"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weights"], ["drive"]),
        helper.make_node("Mul", ["classify", "half"], ["fading"]),
        helper.make_node("Add", ["fading", "drive"], ["classify.next"]),
        helper.make_node("Identity", ["classify.next"], ["output"]),
    ]
    return helper.make_graph(
        nodes,
        "step",
        [helper.make_tensor_value_info(name, *tensor) for name, tensor in inputs.items()],
        [helper.make_tensor_value_info(name, *tensor) for name, tensor in outputs.items()],
        [numpy_helper.from_array(np.float32(0.5), "half"), numpy_helper.from_array(WEIGHTS, "weights")],
    )


def write(path: Path, card: ModelCard | None = CARD, step: onnx.GraphProto | None = None) -> Path:
    """Write a model.onnx as the export does."""
    model = helper.make_model(step or graph(), opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    if card is not None:
        helper.set_model_props(model, {"livesnn": card.to_json()})
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(model.SerializeToString())
    return path


def reference(frame: Frame, state: State) -> tuple[npt.NDArray[np.float32], State]:
    """Take the same step in numpy."""
    pool, classify = state
    current = frame.data.reshape(2, 2, 2, 2, 2).mean(axis=(2, 4), dtype=np.float32)
    pool = np.float32(0.5) * pool * (pool < 0.5) + current
    classify = np.float32(0.5) * classify + (pool >= 0.5).astype(np.float32).ravel() @ WEIGHTS
    return classify, (pool, classify)


def make_frames(count: int) -> list[Frame]:
    counts = np.random.default_rng(5).integers(0, 2, (count, 2, 4, 4)).astype(np.uint8)
    return [Frame(1000 * (i + 1), counts[i], int(counts[i].sum()), start=i == 0) for i in range(count)]


@pytest.fixture
def model(tmp_path: Path) -> Model:
    return OnnxModel.load(write(tmp_path / "model.onnx"), threads=1)


def test_a_model_says_what_it_is_and_begins_with_zeros_of_the_card_s_shapes(model: Model) -> None:
    assert model.card == CARD
    assert repr(model) == "Model tiny: 3 classes, 4×4 events, onnx engine"
    state = model.initial_state()
    assert [membrane.shape for membrane in state] == [(2, 2, 2), (3,)]
    assert all(membrane.dtype == np.float32 and not membrane.any() for membrane in state)


def test_steps_equal_the_equations(model: Model) -> None:
    state = expected_state = model.initial_state()
    for frame in make_frames(30):
        output, state = model.step(frame, state)
        expected, expected_state = reference(frame, expected_state)
        assert output.dtype == np.float32
        np.testing.assert_allclose(output, expected, atol=1e-5)
        for membrane, wanted in zip(state, expected_state, strict=True):
            assert membrane.shape == wanted.shape
            np.testing.assert_allclose(membrane, wanted, atol=1e-5)


def test_a_step_is_pure(model: Model) -> None:
    first, second, third = make_frames(3)
    _, state = model.step(first, model.initial_state())
    copies = tuple(membrane.copy() for membrane in state)
    output, after = model.step(second, state)
    kept = output.copy(), tuple(membrane.copy() for membrane in after)
    model.step(third, after)
    again, after_again = model.step(second, state)
    for now, before in [
        *zip(state, copies, strict=True),
        (output, kept[0]),
        (again, kept[0]),
        *zip(after, kept[1], strict=True),
        *zip(after_again, kept[1], strict=True),
    ]:
        np.testing.assert_array_equal(now, before)


def test_a_state_that_is_not_contiguous_gives_the_same_step(model: Model) -> None:
    frame, *_ = make_frames(1)
    pool = np.random.default_rng(7).random((2, 2, 2), np.float32)
    state = (pool, np.ones(3, np.float32))
    strided = (np.asfortranarray(pool), np.ones(6, np.float32)[::2])
    assert not strided[0].flags.c_contiguous
    np.testing.assert_array_equal(model.step(frame, strided)[0], model.step(frame, state)[0])


@pytest.mark.parametrize(
    "wrong",
    [np.zeros((2, 4, 5), np.uint8), np.zeros((1, 4, 4), np.uint8), np.zeros((2, 4, 4), np.float32)],
    ids=["width", "channels", "dtype"],
)
def test_a_frame_that_does_not_fit_is_refused(model: Model, wrong: npt.NDArray[np.uint8]) -> None:
    with pytest.raises(ModelError, match=r"of uint8 \[2, 4, 4\]"):
        model.step(Frame(0, wrong, 0), model.initial_state())


def test_a_state_that_does_not_fit_is_refused_by_name(model: Model) -> None:
    frame, *_ = make_frames(1)
    pool, classify = model.initial_state()
    with pytest.raises(ModelError, match="has 2 states, not 1"):
        model.step(frame, (pool,))
    with pytest.raises(ModelError, match=r"state 'classify' .* is float32"):
        model.step(frame, (pool, classify[:2]))
    with pytest.raises(ModelError, match=r"state 'pool' .* not float64"):
        model.step(frame, (pool.astype(np.float64), classify))


@pytest.mark.parametrize("data", [None, [[0]], CARD], ids=["None", "list", "card"])
def test_a_frame_or_state_that_is_no_array_is_refused(model: Model, data: Any) -> None:
    frame, *_ = make_frames(1)
    state = model.initial_state()
    with pytest.raises(ModelError, match="of uint8"):
        model.step(replace(frame, data=data), state)
    with pytest.raises(ModelError, match="of uint8"):
        model.step(data, state)
    with pytest.raises(ModelError, match="has 2 states"):
        model.step(frame, data)
    with pytest.raises(ModelError, match="state 'classify'"):
        model.step(frame, (state[0], data))


def endless() -> onnx.GraphProto:
    """Return the step with a loop that never ends within."""
    step, real = graph(), TensorProto.FLOAT
    body = helper.make_graph(
        [helper.make_node("Identity", [one], [f"{one}_"]) for one in ("go", "turning")],
        "body",
        [
            helper.make_tensor_value_info("number", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("turning", real, [1, 2, 4, 4]),
        ],
        [
            helper.make_tensor_value_info("go_", TensorProto.BOOL, []),
            helper.make_tensor_value_info("turning_", real, [1, 2, 4, 4]),
        ],
    )
    step.node.insert(1, helper.make_node("Loop", ["", "true", "counts"], ["turned"], body=body))
    step.node[2].input[0] = "turned"
    step.initializer.append(numpy_helper.from_array(np.array(True), "true"))
    return step


def of_counts(operator: str, *others: str, **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(operator, ["counts", *others], ["more"], **attributes)


DOUBLED = [helper.make_node("Concat", [f"x{i}"] * 2, [f"x{i + 1}"], axis=0) for i in range(60)]
TOO_MUCH = "a step of it takes more memory or time than any network of livesnn's"
HOSTILE: dict[str, tuple[list[onnx.NodeProto], str]] = {
    "a broadcast": (
        [
            helper.make_node("MatMul", ["classify", "column"], ["a"]),
            helper.make_node("Add", ["high", "a"], ["b"]),
            helper.make_node("Less", ["b", "wide"], ["c"]),
        ],
        TOO_MUCH,
    ),
    "sums of sums": (
        [
            helper.make_node("MatMul", ["classify", "column"], ["a"]),
            helper.make_node("Add", ["high", "a"], ["b"]),
            helper.make_node("Add", ["b", "row"], ["y0"]),
            *(helper.make_node("Add", [f"y{i}", "row"], [f"y{i + 1}"]) for i in range(150)),
        ],
        TOO_MUCH,
    ),
    "copies of copies": ([helper.make_node("Identity", ["counts"], ["x0"]), *DOUBLED], TOO_MUCH),
    "a product": (
        [
            helper.make_node("MatMul", ["classify", "column"], ["a"]),
            helper.make_node("Add", ["high", "a"], ["b"]),
            helper.make_node("MatMul", ["b", "wide"], ["c"]),
        ],
        TOO_MUCH,
    ),
    "padding": ([of_counts("AveragePool", kernel_shape=[1, 1], pads=[9_999] * 4)], TOO_MUCH),
    "a large pool": ([of_counts("AveragePool", kernel_shape=[9_999] * 2, pads=[9_998] * 4)], TOO_MUCH),
    "constants": ([helper.make_node("MatMul", ["high", "wide"], ["more"])], "MatMul reads or writes what no"),
    "text": ([of_counts("Cast", to=TensorProto.STRING)], "an attribute 'to' as no export has"),
    "a shape of its own": ([of_counts("Reshape", "frame")], "the shapes of what its operators read don't fit"),
    "what comes later": ([helper.make_node("Add", ["current", "half"], ["more"])], "reads or writes what no"),
    "a second writer": ([helper.make_node("Cast", ["frame"], ["half"], to=1)], "reads or writes what no"),
    "a network of others": (
        [helper.make_node("Cast", ["frame"], ["more"], domain="com.evil", to=1)],
        "operator 'Cast'",
    ),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_a_graph_that_asks_for_too_much_is_refused_before_onnx_runtime_sees_it(tmp_path: Path, what: str) -> None:
    nodes, says = HOSTILE[what]
    step = graph()
    others = [*step.node]
    del step.node[:]
    step.node.extend([others[0], *nodes, *others[1:]])
    step.initializer.extend(
        numpy_helper.from_array(np.zeros(shape, np.float32), name)
        for name, shape in {"wide": (1, 20_000), "high": (20_000, 1), "column": (3, 1), "row": (1, 900)}.items()
    )
    with pytest.raises(ModelError, match=says) as caught:
        OnnxModel.load(write(tmp_path / "model.onnx", step=step))
    assert "\n" not in str(caught.value)


def weights_of(model: onnx.ModelProto) -> onnx.TensorProto:
    return model.graph.initializer[1]


def outside(model: onnx.ModelProto) -> None:
    weights_of(model).ClearField("raw_data")
    weights_of(model).data_location = TensorProto.EXTERNAL
    weights_of(model).external_data.add(key="location", value="secrets.txt")


def set_side(model: onnx.ModelProto, side: int) -> None:
    model.graph.input[1].type.tensor_type.shape.dim[1].dim_value = side


def set_rows(model: onnx.ModelProto, rows: int) -> None:
    weights_of(model).dims[0] = rows


def add_function(model: onnx.ModelProto) -> None:
    model.functions.append(helper.make_function("own", "F", ["a"], ["b"], [], [helper.make_opsetid("", 18)]))


def add_copies(model: onnx.ModelProto) -> None:
    model.graph.node.extend(helper.make_node("Identity", ["output"], [f"copy{number}"]) for number in range(2_000))


def fill(value: float) -> Callable[[onnx.ModelProto], None]:
    return lambda model: weights_of(model).CopyFrom(numpy_helper.from_array(np.full_like(WEIGHTS, value), "weights"))


OTHER_SIZE = r"its weights aren't in it|of another size than it says"
DAMAGED: dict[str, tuple[Callable[[onnx.ModelProto], object], str]] = {
    "no end": (lambda model: model.graph.CopyFrom(endless()), "the operator 'Loop', which no export has"),
    "functions": (add_function, "functions or other parts that no export has"),
    "weights outside": (outside, "its weights aren't in it"),
    "NaN": (fill(np.nan), "gives NaN or infinity"),
    "infinity": (fill(np.inf), "gives NaN or infinity"),
    "an attribute": (
        lambda model: model.graph.node[2].attribute.append(helper.make_attribute("axis", 1)),
        "can't be loaded, copy it again: (This is an invalid model|the shapes of what its operators read)",
    ),
    "operators": (add_copies, "it has 2,014 operators"),
    "no side": (lambda model: set_side(model, 0), "an input of a size"),
    "a negative side": (lambda model: set_side(model, -1), "an input of a size"),
    "a side beyond all": (lambda model: set_side(model, 1 << 40), "don't fit"),
    "rows beyond all": (lambda model: set_rows(model, 1 << 40), OTHER_SIZE),
    "negative rows": (lambda model: set_rows(model, -8), OTHER_SIZE),
    "another row": (lambda model: set_rows(model, 9), OTHER_SIZE),
}


@pytest.mark.parametrize("what", DAMAGED)
def test_a_graph_that_no_export_would_have_is_refused_in_one_line(tmp_path: Path, what: str) -> None:
    change, says = DAMAGED[what]
    path = write(tmp_path / "model.onnx")
    model = onnx.load(path)
    change(model)
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ModelError, match=says) as caught:
        OnnxModel.load(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("where", ["metadata", "input"])
def test_a_name_that_is_not_utf_8_is_one_line(tmp_path: Path, where: str) -> None:
    path = write(tmp_path / "model.onnx")
    name = {"metadata": b"livesnn", "input": b"frame"}[where]
    path.write_bytes(path.read_bytes().replace(name, b"\xff" * len(name)))
    with pytest.raises(ModelError, match=r"a name in it isn't UTF-8|it holds no livesnn card"):
        OnnxModel.load(path)


def test_numbers_of_any_length_end(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"\xff" * 10_000_000)
    with pytest.raises(ModelError, match="it isn't an ONNX model"):
        OnnxModel.load(path)


@pytest.mark.parametrize(
    ("card", "tensor"),
    [
        (replace(CARD, input=replace(CARD.input, width=5)), "input 'frame'"),
        (replace(CARD, classes=("zero", "one")), "last state"),
        (replace(CARD, states={"pool": (2, 2, 3), "classify": (3,)}), "input 'pool'"),
        (replace(CARD, states={"stem": (2, 2, 2), "classify": (3,)}), "input 'stem'"),
        (replace(CARD, states={"classify": (3,)}), "input 'pool'"),
        (replace(CARD, states={}), "last state"),
    ],
)
def test_a_tensor_that_is_not_what_the_card_says_is_named(tmp_path: Path, card: ModelCard, tensor: str) -> None:
    with pytest.raises(ModelError, match=tensor) as caught:
        OnnxModel.load(write(tmp_path / "model.onnx", card))
    assert "\n" not in str(caught.value)


def test_a_missing_output_is_named(tmp_path: Path) -> None:
    outputs: Shapes = {
        "output": (TensorProto.FLOAT, [1, 3]),
        "pool.next": (TensorProto.FLOAT, [1, 2, 2, 2]),
    }
    path = write(tmp_path / "model.onnx", step=graph(outputs=outputs))
    with pytest.raises(ModelError, match=r"output 'classify\.next' is absent"):
        OnnxModel.load(path)


@pytest.mark.parametrize("damage", ["empty", "noise", "cut"])
def test_a_damaged_file_is_one_line_of_error(tmp_path: Path, damage: str) -> None:
    path = write(tmp_path / "model.onnx")
    whole = path.read_bytes()
    path.write_bytes({"empty": b"", "noise": b"\xff\x01noise" * 99, "cut": whole[: len(whole) // 2]}[damage])
    with pytest.raises(ModelError, match=r"model\.onnx can't be loaded") as caught:
        OnnxModel.load(path)
    assert "\n" not in str(caught.value)


def test_a_graph_without_a_card_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="holds no livesnn card"):
        OnnxModel.load(write(tmp_path / "model.onnx", card=None))


def test_a_missing_graph_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"")
    with pytest.raises(ModelError, match=r"model\.onnx is missing: .* --engine spike"):
        load_model(tmp_path)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_said_to_be_so(tmp_path: Path) -> None:
    write(tmp_path / "model.onnx").chmod(0)
    with pytest.raises(ModelError, match="can't be read: Permission denied"):
        load_model(tmp_path)


@pytest.mark.parametrize("engine", ["onnx", "torch"])
@pytest.mark.parametrize("threads", [0, -5, "2"])
def test_threads_are_one_or_more(shipped: Path, engine: Any, threads: Any) -> None:
    with pytest.raises(ModelError, match="give 1 or more"):
        load_model("tiny", engine, threads=threads)


@pytest.mark.parametrize("name", [None, 5, "x" * 300, "a\0b", "~nosuch-user"], ids=str)
def test_what_cannot_be_a_model_is_one_line(shipped: Path, name: Any) -> None:
    with pytest.raises(ModelError, match=r"can't be opened|not found") as caught:
        load_model(name)
    assert "\n" not in str(caught.value)


@pytest.fixture
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a models folder with two models, seen from an empty working directory."""
    for name in ("gestures", "tiny"):
        write(tmp_path / "shipped" / name / "model.onnx", replace(CARD, name=name))
    (tmp_path / "shipped" / "results").mkdir()
    (tmp_path / "here").mkdir()
    monkeypatch.setattr("livesnn.infer.load.models_dir", lambda: tmp_path / "shipped")
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "shipped"


@pytest.mark.parametrize("name", ["gestures", "models/gestures"])
def test_a_shipped_model_is_found_by_name_from_anywhere(shipped: Path, name: str) -> None:
    assert load_model(name).card.name == "gestures"


def test_a_folder_is_found_by_path_and_one_of_other_things_hides_no_shipped_model(shipped: Path) -> None:
    assert load_model(str(shipped / "tiny"), "onnx").card.name == "tiny"
    write(Path("models/tiny/model.onnx"), replace(CARD, name="mine"))
    Path("tiny").mkdir()  # such as a data set
    assert load_model("models/tiny").card.name == "mine"
    assert load_model("tiny").card.name == "tiny"


@pytest.mark.parametrize("name", ["nonsense", "models/nonsense", "elsewhere/tiny", "results", "..", ""])
def test_an_unknown_model_names_the_ones_there_are(shipped: Path, name: str) -> None:
    with pytest.raises(ModelError) as caught:
        load_model(name)
    message = str(caught.value)
    assert message == f"Model {name!r} not found; available: gestures, tiny" or "not a model folder" in message


def test_the_model_of_a_run_folder_is_found(shipped: Path, tmp_path: Path) -> None:
    shutil.copytree(shipped / "tiny", tmp_path / "run" / "model")
    assert model_folder(tmp_path / "run") == tmp_path / "run" / "model"


def test_what_cannot_be_loaded_says_why(shipped: Path) -> None:
    for what, engine, says in (
        (shipped / "results", "auto", r"holds neither model\.onnx nor model\.safetensors"),
        (shipped / "tiny" / "model.onnx", "auto", r"model\.onnx is a file: give its folder, .*tiny$"),
        ("tiny", "magic", "unknown engine 'magic'"),
    ):
        with pytest.raises(ModelError, match=says):
            load_model(what, engine)  # type: ignore[arg-type]


def test_onnx_runtime_keeps_no_number_of_this_device(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    environment |= {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path)}
    subprocess.run([sys.executable, "-c", "import livesnn, onnxruntime"], env=environment, check=True, timeout=60)
    assert [*tmp_path.iterdir()] == []
