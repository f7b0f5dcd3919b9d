"""Vectors of neurons for numba, as LLVM's own: it splits them into those of the processor (AVX-512, AVX2, NEON).

All take addresses: what they add up stays in registers from the first spike to the last. Not here: loops over pixels.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

_FLOAT, _BYTE, _LIST, _WORD = ir.FloatType(), ir.IntType(8), ir.IntType(16), ir.IntType(64)
FLOAT_BYTES = 4


def _vector(builder: Any, address: Any, lanes: int, value: Any = None) -> Any:
    """Load float32 [lanes] at an address, or store ``value`` there."""
    pointer = builder.inttoptr(address, ir.VectorType(_FLOAT, lanes).as_pointer())
    done = builder.load(pointer) if value is None else builder.store(value, pointer)
    done.align = FLOAT_BYTES
    return done


def _splat(builder: Any, number: Any, lanes: int) -> Any:
    """Return a vector whose lanes are all ``number``."""
    kind, index = ir.VectorType(_FLOAT, lanes), ir.IntType(32)
    one = builder.insert_element(ir.Constant(kind, ir.Undefined), number, ir.Constant(index, 0))
    return builder.shuffle_vector(one, one, ir.Constant(ir.VectorType(index, lanes), [0] * lanes))


@intrinsic
def accumulate(typing, lanes, weights, channels, first, last, sums):  # type: ignore[no-untyped-def]
    """Add the rows of weights [channel, lanes] of channels[first:last] to sums [lanes]; arguments are addresses."""
    if not isinstance(lanes, types.IntegerLiteral):
        return None
    count = lanes.literal_value
    signature = types.void(lanes, types.uintp, types.uintp, types.intp, types.intp, types.uintp)

    def generate(context, builder, _, arguments):  # type: ignore[no-untyped-def]
        _, weights, channels, first, last, sums = arguments
        before = builder.block
        body, end = builder.append_basic_block("spike"), builder.append_basic_block("reached")
        start = _vector(builder, sums, count)
        builder.cbranch(builder.icmp_signed("<", first, last), body, end)
        builder.position_at_end(body)
        index, held = builder.phi(_WORD), builder.phi(start.type)
        listed = builder.gep(builder.inttoptr(channels, _LIST.as_pointer()), [index])
        offset = builder.mul(
            builder.zext(builder.load(listed), _WORD), ir.Constant(_WORD, count * FLOAT_BYTES)
        )
        total = builder.fadd(held, _vector(builder, builder.add(weights, offset), count))
        following = builder.add(index, ir.Constant(_WORD, 1))
        index.add_incoming(first, before)
        index.add_incoming(following, body)
        held.add_incoming(start, before)
        held.add_incoming(total, body)
        builder.cbranch(builder.icmp_signed("<", following, last), body, end)
        builder.position_at_end(end)
        result = builder.phi(start.type)
        result.add_incoming(start, before)
        result.add_incoming(total, body)
        _vector(builder, sums, count, result)
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def weigh(typing, lanes, weights, counts, number, sums):  # type: ignore[no-untyped-def]
    """Add to sums [lanes] rows of weights [number, lanes] times counts uint8 [number]; arguments are addresses."""
    if not isinstance(lanes, types.IntegerLiteral):
        return None
    width = lanes.literal_value
    signature = types.void(lanes, types.uintp, types.uintp, types.intp, types.uintp)

    def generate(context, builder, _, arguments):  # type: ignore[no-untyped-def]
        _, weights, counts, number, sums = arguments
        before = builder.block
        body, end = builder.append_basic_block("count"), builder.append_basic_block("weighed")
        start = _vector(builder, sums, width)
        builder.branch(body)
        builder.position_at_end(body)
        index, held = builder.phi(_WORD), builder.phi(start.type)
        seen = builder.load(builder.gep(builder.inttoptr(counts, _BYTE.as_pointer()), [index]))
        offset = builder.mul(index, ir.Constant(_WORD, width * FLOAT_BYTES))
        row = _vector(builder, builder.add(weights, offset), width)
        total = builder.fadd(held, builder.fmul(_splat(builder, builder.uitofp(seen, _FLOAT), width), row))
        following = builder.add(index, ir.Constant(_WORD, 1))
        index.add_incoming(ir.Constant(_WORD, 0), before)
        index.add_incoming(following, body)
        held.add_incoming(start, before)
        held.add_incoming(total, body)
        builder.cbranch(builder.icmp_signed("<", following, number), body, end)
        builder.position_at_end(end)
        _vector(builder, sums, width, total)
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def fire(typing, lanes, sums, before, after, alpha, threshold, resets):  # type: ignore[no-untyped-def]
    """Advance membranes [lanes] by a step (SPEC, Eq. 1-4); return a bit for each that spikes."""
    if not isinstance(lanes, types.IntegerLiteral):
        return None
    count = lanes.literal_value
    arguments = (types.uintp, types.uintp, types.uintp, types.float32, types.float32, types.boolean)
    signature = types.uint64(lanes, *arguments)

    def generate(context, builder, _, arguments):  # type: ignore[no-untyped-def]
        _, sums, before, after, alpha, threshold, resets = arguments
        old, height = _vector(builder, before, count), _splat(builder, threshold, count)
        zero = ir.Constant(old.type, [0.0] * count)
        quiet = builder.fcmp_ordered("<", old, height)
        kept = builder.select(resets, builder.select(quiet, old, zero), old)
        new = builder.fadd(_vector(builder, sums, count), builder.fmul(kept, _splat(builder, alpha, count)))
        _vector(builder, after, count, new)
        bits = builder.bitcast(builder.fcmp_ordered(">=", new, height), ir.IntType(count))
        return builder.zext(bits, _WORD) if count < _WORD.width else bits

    return signature, generate


@intrinsic
def lowest(typing, bits):  # type: ignore[no-untyped-def]
    """Return the number of the lowest bit that is set; one must be."""

    def generate(context, builder, _, arguments):  # type: ignore[no-untyped-def]
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 1))

    return types.int64(types.uint64), generate
