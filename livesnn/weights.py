"""Weights on disk (safetensors), batch norm folded into convolutions, and kernels in 8 bits; without torch."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from livesnn.card import ModelCard, NetworkSpec
from livesnn.errors import ModelError, reason_of
from livesnn.files import replace_file

Weights = dict[str, npt.NDArray[np.float32]]
"""Arrays by parameter name: "blocks.0.1.first.conv.weight", [out, in, kh, kw]."""

Rounded = tuple[npt.NDArray[np.int8], npt.NDArray[np.float32]]
"""A kernel [O, C, k, k] in 8 bits, and the scale [O] of each output channel."""

WEIGHTS, GRAPH = "model.safetensors", "model.onnx"  # The files of a model folder

CARD_KEY = "livesnn"
_KINDS = ("F16", "F32", "F64")  # numpy has others only if some other package adds them
BATCH_NORM_EPSILON = 1e-5
STEM_POOL_PIXELS = 9
"""Pixels under a window of the stem's pool: how often one channel may spike in what the pool's readers get."""
POOL_READERS = ("blocks.0.0.first.conv.weight", "blocks.0.0.skip.conv.weight")


def load_weights(path: Path) -> tuple[Weights, ModelCard]:
    """Read the weights and the card in a model.safetensors; raises ModelError if it is missing, damaged or unfit."""
    with _opened(path) as file:
        weights = {name: _read(file, name, path) for name in file.keys()}  # noqa: SIM118
        card = _card(file, path)
    if card.weights_sha256 not in ("", weights_hash(weights)):
        raise ModelError(f"{path} has other weights than its card says: copy the model again")
    with np.errstate(over="ignore"):  # of float64, whose infinity `fold_batch_norm` names
        return {name: array.astype(np.float32, copy=False) for name, array in weights.items()}, card


def load_tensors(path: Path) -> Weights:
    """Read a safetensors file of a model folder that has no card; raises ModelError if it is missing or damaged."""
    with _opened(path, "copy the model again") as file:
        kept = {name: _read(file, name, path) for name in file.keys()}  # noqa: SIM118
    for name, array in kept.items():
        if not np.isfinite(array).all():
            raise ModelError(f"{path}: {name} holds NaN or infinity: copy the model again")
    return {name: array.astype(np.float32, copy=False) for name, array in kept.items()}


def load_card(path: Path) -> ModelCard:
    """Read the card in a model.safetensors, and no weights; raises ModelError as `load_weights` does."""
    with _opened(path) as file:
        return _card(file, path)


@contextmanager
def _opened(path: Path, again: str = "train the model again, or use --engine onnx") -> Iterator[Any]:
    if not path.is_file():
        raise ModelError(f"{path} is missing: {again}")
    try:
        path.open("rb").close()  # safetensors' message wouldn't say why it can't be read
        check_size(path)
        with safe_open(path, framework="numpy") as file:
            yield file
    except OSError as error:
        raise ModelError(f"{path} can't be read: {reason_of(error)}") from error
    except SafetensorError as error:
        raise ModelError(f"{path} can't be read as safetensors ({reason_of(error)}): copy the model again") from error


MOST_BYTES = 1 << 28  # 65 million weights


def check_size(path: Path) -> None:
    """Raise ModelError if a file of a model folder is larger than any of livesnn's."""
    if (size := path.stat().st_size) > MOST_BYTES:
        raise ModelError(f"{path} has {size:,} bytes, more than any livesnn model: copy it again")


def _card(file: Any, path: Path) -> ModelCard:
    text = (file.metadata() or {}).get(CARD_KEY)
    if text is None:
        raise ModelError(f"{path} carries no model card: it wasn't written by livesnn")
    card = ModelCard.from_json(text, where=f"the card in {path}")
    shapes = card.layer_shapes()
    for said, true in zip_longest(card.states.items(), shapes.items()) if card.states else ():
        if said != true:
            told, found = (
                f"the layer {one[0]!r} {list(one[1])}" if one else "no more layers" for one in (said, true)
            )
            raise ModelError(f"{path}: the card gives {told}, but its network has {found}: copy the model again")
    return replace(card, states=shapes)


def _read(file: Any, name: str, path: Path) -> npt.NDArray[np.float32]:
    if not name.isprintable():
        raise ModelError(f"{path} has a tensor {name[:40]!r}, which no model has: copy the model again")
    if (kind := file.get_slice(name).get_dtype()) not in _KINDS:
        raise ModelError(f"{path}: {name} has the data type {kind}, which isn't supported: save it as float32")
    return cast("npt.NDArray[np.float32]", file.get_tensor(name))


def save_weights(weights: Weights, path: Path, card: ModelCard) -> None:
    """Write a model.safetensors, whole or not at all, with these weights' hash in its card."""
    card = replace(card, weights_sha256=weights_hash(weights))
    contiguous = {name: np.ascontiguousarray(array) for name, array in weights.items()}
    replace_file(path, save(contiguous, {CARD_KEY: card.to_json()}))


def weights_hash(weights: Weights) -> str:
    """Return the SHA-256 of tensors, whatever their order in a file."""
    digest = hashlib.sha256()
    for name, array in sorted(weights.items()):
        digest.update(f"{name} {array.dtype.str} {array.shape} ".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def tensor(weights: Weights, name: str, shape: tuple[int, ...]) -> npt.NDArray[np.float32]:
    """Return a tensor of the shape that a card asks for; raises ModelError that names it if it's missing or unfit."""
    if name not in weights:
        raise ModelError(f"the tensor {name} that the card names is missing: copy the model again")
    if weights[name].shape != shape:
        raise ModelError(f"{name} is {weights[name].shape}, not {shape} as the card says: copy the model again")
    return weights[name]


def dense_layers(weights: Weights, card: ModelCard) -> Weights:
    """Return the arrays behind the traces U of a card's read-out: y = C · max(H · norm(M · U) + h, 0) + c.

    With M members, K decays and widths D and H: "mix" [M, K, K] where the card says so, "hidden_weight" [M, K·D, H],
    "hidden_bias" [M, 1, H], "classify_weight" [classes, M·H] and "classify_bias" [classes].
    """
    spec, classes, decays = card.traces, len(card.classes), len(card.traces.alphas)
    traced = decays * spec.width
    shapes: dict[str, tuple[int, ...]] = {
        **({"read_out.mix": (spec.members, decays, decays)} if spec.mixed else {}),
        "read_out.hidden_weight": (spec.members, traced, spec.hidden),
        "read_out.hidden_bias": (spec.members, 1, spec.hidden),
        "classify.weight": (classes, spec.members * spec.hidden),
        "classify.bias": (classes,),
    }
    return {
        name.removeprefix("read_out.").replace(".", "_"): tensor(weights, name, shape)
        for name, shape in shapes.items()
    }


def weights_to_run(weights: Weights, network: NetworkSpec) -> Weights:
    """Return what every engine runs: batch norm folded, and the blocks' kernels rounded if the card says 8 bits.

    Raises ModelError that names a tensor which is missing, doesn't fit, or holds NaN or infinity.
    """
    folded = fold_batch_norm(weights)
    rounded = rounded_kernels(folded, network)
    return folded | {name: kernel * scale[:, None, None, None] for name, (kernel, scale) in rounded.items()}


def rounded_kernels(folded: Weights, network: NetworkSpec) -> dict[str, Rounded]:
    """Return the kernels that run in 8 bits, by name: all of the blocks', or none."""
    if network.weight_bits != 8:
        return {}
    names = [name for name in folded if name.startswith("blocks.") and name.endswith(".conv.weight")]
    return {name: quantize(folded[name], times=STEM_POOL_PIXELS if name in POOL_READERS else 1) for name in names}


def quantize(kernel: npt.NDArray[np.float32], *, times: int = 1) -> Rounded:
    """Return a kernel [O, C, k, k] in 8 bits, -127..127, and the scale float32 [O]: kernel ≈ rounded · scale.

    An output channel's scale follows from its largest weight, or from the sum of its weights, which has to fit into
    16 bits. An input may count several ``times``; then the sum of one row of the kernel so many times has to fit.
    """
    sizes = np.abs(kernel)
    together = sizes.sum((1, 2, 3)) if times == 1 else times * sizes.sum((1, 3)).max(1)
    most = np.iinfo(np.int16).max
    # Rounding adds at most a half to each weight, and at most doubles it.
    room = max(most - times * sizes[0].size // 2, most // 2)
    least = np.maximum(sizes.max((1, 2, 3)) / np.float32(127), together / np.float32(room))
    scale = np.where(least > 0, least, np.float32(1)).astype(np.float32)
    return np.rint(kernel / scale[:, None, None, None]).astype(np.int8), scale


def fold_batch_norm(weights: Weights) -> Weights:
    """Return the weights of the same network without batch norm: each "<layer>.norm" goes into "<layer>.conv".

    w' = w · γ/√(σ²+ε),  b' = β − μ · γ/√(σ²+ε)  (Jacob et al. 2018), computed in float64.
    Raises ModelError that names a tensor which is missing, doesn't fit, or holds NaN or infinity.
    """
    folded = {name: array for name, array in weights.items() if ".norm." not in name}
    for name in [name for name in weights if name.endswith(".norm.weight")]:
        layer = name.removesuffix(".norm.weight")
        parts = [f"{layer}.norm.{part}" for part in ("weight", "bias", "running_mean", "running_var")]
        for needed in (*parts, f"{layer}.conv.weight"):
            if needed not in weights:
                raise ModelError(f"the tensor {needed} is missing: train or copy the model again")
            if weights[needed].shape[:1] != weights[name].shape:
                raise ModelError(
                    f"{needed} is {weights[needed].shape}, but {name} is {weights[name].shape}: copy the model again"
                )
        gamma, beta, mean, variance = (weights[part].astype(np.float64) for part in parts)
        with np.errstate(invalid="ignore"):  # of a variance below 0, whose NaN raises below
            gain = gamma / np.sqrt(variance + BATCH_NORM_EPSILON)
        kernel = weights[f"{layer}.conv.weight"]
        folded[f"{layer}.conv.weight"] = (kernel * gain[:, None, None, None]).astype(np.float32)
        folded[f"{layer}.conv.bias"] = (beta - mean * gain).astype(np.float32)
    for name, array in folded.items():
        if not np.isfinite(array).all():
            raise ModelError(f"{name} holds NaN or infinity: its weights are damaged, train again")
    return folded
