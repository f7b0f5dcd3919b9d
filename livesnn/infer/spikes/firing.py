"""A row of neurons that fire, for numba, in LLVM's own terms. Not here: their sums (reads.py), lists (layers.py)."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from livesnn.infer.spikes.lanes import FLOAT_BYTES, splat, vector
from livesnn.infer.spikes.words import WORD


def _advanced(builder: Any, old: Any, total: Any, neuron: tuple[Any, Any, Any]) -> tuple[Any, Any]:
    """Return membranes after a step (SPEC, Eq. 1-4), and a bit for each that spikes."""
    alpha, threshold, resets = neuron
    lanes = old.type.count
    quiet = builder.fcmp_ordered("<", old, threshold)
    kept = builder.select(resets, builder.select(quiet, old, ir.Constant(old.type, [0.0] * lanes)), old)
    new = builder.fadd(total, builder.fmul(kept, alpha))
    bits = builder.bitcast(builder.fcmp_ordered(">=", new, threshold), ir.IntType(lanes))
    return new, builder.zext(bits, WORD) if lanes < WORD.width else bits


def _fire(
    builder: Any, lanes: int, width: Any, firsts: list[Any], steps: list[Any], totals: Any, neuron: Any
) -> None:
    """Build the loop over a row's pixels.

    ``firsts``, ``steps``: addresses of the first pixel's membranes before and after, marks and sums; how far the next
    pixel's are.
    """
    so_far, entry = vector(builder, totals, lanes), builder.block
    pixel, end = builder.append_basic_block("pixel"), builder.append_basic_block("end")
    builder.branch(pixel)
    builder.position_at_end(pixel)
    phis = [builder.phi(kind) for kind in (WORD, so_far.type, *[WORD] * len(firsts))]
    left, total, *places = phis
    before, after, marks, sums = places
    new, bits = _advanced(builder, vector(builder, before, lanes), vector(builder, sums, lanes), neuron)
    vector(builder, after, lanes, new)
    builder.store(bits, builder.inttoptr(marks, WORD.as_pointer()))
    following = [builder.sub(left, ir.Constant(WORD, 1)), builder.fadd(total, new)]
    following += [builder.add(place, step) for place, step in zip(places, steps, strict=True)]
    for phi, first, after_this in zip(phis, (width, so_far, *firsts), following, strict=True):
        phi.add_incoming(first, entry)
        phi.add_incoming(after_this, pixel)
    builder.cbranch(builder.icmp_signed(">", following[0], ir.Constant(WORD, 0)), pixel, end)
    builder.position_at_end(end)
    vector(builder, totals, lanes, following[1])


@intrinsic
def fire_row(typing, lanes, width, sums, membranes, marks, totals, steps, neuron):  # type: ignore[no-untyped-def]
    """Advance a row of membranes by a step.

    Parameters
    ----------
    width, sums
        Pixels, and the address of their sums, float32 [width, lanes].
    membranes
        Addresses of those before and after, float32 [lanes] a pixel.
    marks, totals
        Addresses of a bit for each that spikes, a word a pixel, and of sums of membranes [lanes] to add to.
    steps
        Bytes from pixel to pixel of membranes, and of marks.
    neuron
        Alpha, threshold, whether spikes reset.
    """
    if not isinstance(lanes, types.IntegerLiteral):
        return None
    count, address, whole = lanes.literal_value, types.intp, types.int64
    pair, rule = types.UniTuple(address, 2), types.Tuple((types.float32, types.float32, types.boolean))

    def generate(context, builder, _, arguments):  # type: ignore[no-untyped-def]
        _, width, sums, membranes, marks, totals, steps, neuron = arguments
        before, after, step, mark_step = (
            builder.extract_value(two, i) for two in (membranes, steps) for i in (0, 1)
        )
        alpha, threshold, resets = (builder.extract_value(neuron, i) for i in range(3))
        splatted = splat(builder, alpha, count), splat(builder, threshold, count), resets
        size = ir.Constant(WORD, count * FLOAT_BYTES)
        _fire(
            builder,
            count,
            width,
            [before, after, marks, sums],
            [step, step, mark_step, size],
            totals,
            splatted,
        )
        return context.get_dummy_value()

    return types.void(lanes, whole, address, pair, address, address, types.UniTuple(whole, 2), rule), generate
