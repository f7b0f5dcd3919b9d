"""Vectors of neurons for numba, as LLVM's own: it splits them into those of the processor (AVX-512, AVX2, NEON).

All take addresses: what they add up stays in registers from the first spike to the last. Not here: loops over pixels.
"""

from __future__ import annotations

from functools import partial, reduce
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from livesnn.infer.spikes.words import BEGIN, BYTE, SHORT, WORD, number_of

_FLOAT = ir.FloatType()
FLOAT_BYTES, SHORT_BYTES = 4, 2


def _vector(builder: Any, address: Any, lanes: int, value: Any = None, kind: Any = _FLOAT) -> Any:
    """Load [lanes] at an address, or store ``value`` there."""
    pointer = builder.inttoptr(address, ir.VectorType(kind, lanes).as_pointer())
    done = builder.load(pointer) if value is None else builder.store(value, pointer)
    done.align = 1
    return done


def _splat(builder: Any, number: Any, lanes: int) -> Any:
    """Return a vector whose lanes are all ``number``."""
    kind, index = ir.VectorType(_FLOAT, lanes), ir.IntType(32)
    one = builder.insert_element(ir.Constant(kind, ir.Undefined), number, ir.Constant(index, 0))
    return builder.shuffle_vector(one, one, ir.Constant(ir.VectorType(index, lanes), [0] * lanes))


def _plus(builder: Any, kind: Any, one: Any, other: Any) -> Any:
    return builder.fadd(one, other) if kind is _FLOAT else builder.add(one, other)


def _add(builder: Any, kind: Any, total: Any, value: Any, lanes: int) -> None:
    """Add a vector to what lies at an address."""
    so_far = _vector(builder, total, lanes, kind=kind)
    _vector(builder, total, lanes, _plus(builder, kind, so_far, value), kind=kind)


def _widened(builder: Any, row: Any, lanes: int, kind: Any) -> Any:
    """Return a vector as numbers of a kind: int8 as int16, others as they are."""
    return builder.sext(row, ir.VectorType(kind, lanes)) if kind is SHORT else row


@intrinsic
def rows_of(typing, number, size, weights, lists, first):  # type: ignore[no-untyped-def]
    """Return the addresses of the rows of weights, ``size`` bytes each, that ``number`` entries of a list name."""
    if not isinstance(number, types.IntegerLiteral):
        return None
    together = types.UniTuple(types.uintp, number.literal_value)

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        _, size, weights, lists, first = arguments
        rows = []
        for i in range(len(together)):
            entry = number_of(builder, lists, builder.add(first, ir.Constant(WORD, i)), SHORT)
            off = builder.mul(builder.zext(entry, WORD), size)
            rows.append(builder.add(weights, off))
        return context.make_tuple(builder, signature.return_type, rows)

    return together(number, types.int64, types.uintp, types.uintp, types.int64), generate


def _adds(kind: Any, total: Any) -> Any:
    """Return what adds rows of one kind of number to sums of another: int8 to int16, or both float32."""

    @intrinsic
    def add_rows(typing, lanes, sums, rows, off):  # type: ignore[no-untyped-def]
        """Add to sums [lanes] what lies ``off`` bytes behind each of the rows."""
        if not isinstance(lanes, types.IntegerLiteral):
            return None
        width = lanes.literal_value

        def generate(context, builder, _, arguments):  # type: ignore[no-untyped-def]
            _, sums, together, off = arguments
            places = [builder.add(builder.extract_value(together, i), off) for i in range(len(rows))]
            loaded = [_vector(builder, place, width, kind=kind) for place in places]
            wide = [_widened(builder, row, width, total) for row in loaded]
            _add(builder, total, sums, reduce(partial(_plus, builder, total), wide), width)
            return context.get_dummy_value()

        return types.void(lanes, types.uintp, rows, types.int64), generate

    return add_rows


add_floats, add_bytes = _adds(_FLOAT, _FLOAT), _adds(BYTE, SHORT)


def _phis(builder: Any, kind: Any, columns: int, rows: int) -> list[list[Any]]:
    """Return sums [columns, rows] that come from wherever control does."""
    return [[builder.phi(kind) for _ in range(rows)] for _ in range(columns)]


def _come(phis: list[list[Any]], values: list[list[Any]], block: Any) -> None:
    """Let sums be ``values`` where control comes from a block."""
    for column, known in zip(phis, values, strict=True):
        for phi, value in zip(column, known, strict=True):
            phi.add_incoming(value, block)


def _retire(builder: Any, column: list[Any], sums: Any, line: Any, x: Any, lanes: int) -> None:
    """Add a column of sums to those at an address, one row ``line`` bytes behind the other."""
    place = builder.add(sums, builder.mul(x, ir.Constant(WORD, lanes * SHORT_BYTES)))
    for total in column:
        _add(builder, SHORT, place, total, lanes)
        place = builder.add(place, line)


def _with_taps(
    builder: Any, weights: Any, channel: Any, held: list[list[Any]], lanes: int
) -> list[list[Any]]:
    """Return three columns of sums with the nine taps of a spike added, or those of the rows that there are."""
    row = builder.add(weights, builder.mul(channel, ir.Constant(WORD, 9 * lanes)))
    added = []
    for kx, column in zip((2, 1, 0), held, strict=True):
        taps = [(ky * 3 + kx) * lanes for ky in reversed(range(len(column)))]
        places = [builder.add(row, ir.Constant(WORD, tap)) for tap in taps]
        loaded = [_vector(builder, place, lanes, kind=BYTE) for place in places]
        wide = [_widened(builder, one, lanes, SHORT) for one in loaded]
        added.append([builder.add(total, more) for total, more in zip(column, wide, strict=True)])
    return added


def _sweep(builder: Any, lanes: int, rows: int, arguments: Any) -> None:
    """Build the loop over pixels, and that over a pixel's spikes within it, of `sweep_bytes`."""
    _, _, weights, lists, begins, width, sums, line = arguments
    kind, one, entry = ir.VectorType(SHORT, lanes), ir.Constant(WORD, 1), builder.block
    nothing = [ir.Constant(kind, [0] * lanes)] * rows
    names = ("pixel", "spike", "passed", "left", "next", "end")
    pixel, spike, passed, left, following, end = map(builder.append_basic_block, names)
    start = builder.zext(number_of(builder, begins, ir.Constant(WORD, 0), BEGIN), WORD)
    builder.branch(pixel)

    builder.position_at_end(pixel)
    x, first, carried = builder.phi(WORD), builder.phi(WORD), _phis(builder, kind, 2, rows)
    x_next = builder.add(x, one)
    last = builder.zext(number_of(builder, begins, x_next, BEGIN), WORD)
    before = [*carried, nothing]
    builder.cbranch(builder.icmp_signed("<", first, last), spike, passed)

    builder.position_at_end(spike)
    index, held = builder.phi(WORD), _phis(builder, kind, 3, rows)
    channel = builder.zext(number_of(builder, lists, index, SHORT), WORD)
    added, after = _with_taps(builder, weights, channel, held, lanes), builder.add(index, one)
    _come([[index], *held], [[first], *before], pixel)
    _come([[index], *held], [[after], *added], spike)
    builder.cbranch(builder.icmp_signed("<", after, last), spike, passed)

    builder.position_at_end(passed)
    whole = _phis(builder, kind, 3, rows)
    _come(whole, before, pixel)
    _come(whole, added, spike)
    builder.cbranch(builder.icmp_signed("==", x, ir.Constant(WORD, 0)), following, left)
    builder.position_at_end(left)  # there is none left of the first pixel
    _retire(builder, whole[0], sums, line, builder.sub(x, one), lanes)
    builder.branch(following)

    builder.position_at_end(following)
    _come([[x, first], *carried], [[ir.Constant(WORD, 0), start], nothing, nothing], entry)
    _come([[x, first], *carried], [[x_next, last], *whole[1:]], following)
    builder.cbranch(builder.icmp_signed("<", x_next, width), pixel, end)
    builder.position_at_end(end)
    _retire(builder, whole[1], sums, line, x, lanes)


@intrinsic
def sweep_bytes(typing, lanes, rows, weights, lists, begins, width, sums, line):  # type: ignore[no-untyped-def]
    """Spread the spikes of a row of pixels over int16 sums of ``rows`` rows of outputs, through kernels of 3×3.

    What a pixel's three columns of outputs get stays in registers until the pixels that reach them have passed.

    Parameters
    ----------
    weights
        Address of int8 [C, 9, lanes], and 3 · lanes further for each ky left out.
    lists, begins, width
        Addresses of the channels that spike, and of int32 [width + 1], where those of each pixel begin.
    sums, line
        Address of int16 [rows, width, lanes], and bytes from row to row. The first gets what the highest ky has.
    """
    if not (isinstance(lanes, types.IntegerLiteral) and isinstance(rows, types.IntegerLiteral)):
        return None
    lanes_of, rows_of_outputs = lanes.literal_value, rows.literal_value

    def generate(context, builder, _, arguments):  # type: ignore[no-untyped-def]
        _sweep(builder, lanes_of, rows_of_outputs, arguments)
        return context.get_dummy_value()

    signature = (lanes, rows, types.uintp, types.uintp, types.uintp, types.int64, types.uintp, types.int64)
    return types.void(*signature), generate


@intrinsic
def add_times(typing, lanes, sums, row, count):  # type: ignore[no-untyped-def]
    """Add to sums float32 [lanes] a row float32 times a count."""
    if not isinstance(lanes, types.IntegerLiteral):
        return None
    width = lanes.literal_value

    def generate(context, builder, _, arguments):  # type: ignore[no-untyped-def]
        _, sums, row, count = arguments
        times = _splat(builder, builder.uitofp(count, _FLOAT), width)
        _add(builder, _FLOAT, sums, builder.fmul(times, _vector(builder, row, width)), width)
        return context.get_dummy_value()

    return types.void(lanes, types.uintp, types.uintp, types.int64), generate


@intrinsic
def settle(typing, lanes, shorts, scales, onto, sums):  # type: ignore[no-untyped-def]
    """Write to sums float32 [lanes] what lies at ``onto``, plus int16 sums times their scales; those begin anew."""
    if not isinstance(lanes, types.IntegerLiteral):
        return None
    count = lanes.literal_value

    def generate(context, builder, _, arguments):  # type: ignore[no-untyped-def]
        _, shorts, scales, onto, sums = arguments
        whole = _vector(builder, shorts, count, kind=SHORT)
        floats = builder.sitofp(whole, ir.VectorType(_FLOAT, count))
        scaled = builder.fmul(floats, _vector(builder, scales, count))
        _vector(builder, sums, count, builder.fadd(_vector(builder, onto, count), scaled))
        _vector(builder, shorts, count, ir.Constant(whole.type, [0] * count), kind=SHORT)
        return context.get_dummy_value()

    return types.void(lanes, types.uintp, types.uintp, types.uintp, types.uintp), generate


@intrinsic
def increase(typing, sums, index, number):  # type: ignore[no-untyped-def]
    """Add a float32 to one of the sums at an address."""

    def generate(context, builder, _, arguments):  # type: ignore[no-untyped-def]
        sums, index, number = arguments
        place = builder.gep(builder.inttoptr(sums, _FLOAT.as_pointer()), [index])
        builder.store(builder.fadd(builder.load(place), number), place)
        return context.get_dummy_value()

    return types.void(types.uintp, types.int64, types.float32), generate


@intrinsic
def float_at(typing, address):  # type: ignore[no-untyped-def]
    """Return the float32 at an address."""

    def generate(context, builder, _, arguments):  # type: ignore[no-untyped-def]
        return builder.load(builder.inttoptr(arguments[0], _FLOAT.as_pointer()))

    return types.float32(types.uintp), generate


@intrinsic
def copy(typing, lanes, source, target):  # type: ignore[no-untyped-def]
    """Copy [lanes] from an address to another."""
    if not isinstance(lanes, types.IntegerLiteral):
        return None

    def generate(context, builder, _, arguments):  # type: ignore[no-untyped-def]
        _, source, target = arguments
        _vector(builder, target, lanes.literal_value, _vector(builder, source, lanes.literal_value))
        return context.get_dummy_value()

    return types.void(lanes, types.uintp, types.uintp), generate


@intrinsic
def fire(typing, lanes, sums, before, after, totals, alpha, threshold, resets):  # type: ignore[no-untyped-def]
    """Advance membranes [lanes] by a step (SPEC, Eq. 1-4), add them to totals; return a bit for each that spikes."""
    if not isinstance(lanes, types.IntegerLiteral):
        return None
    count = lanes.literal_value
    arguments = (*[types.uintp] * 4, types.float32, types.float32, types.boolean)
    signature = types.uint64(lanes, *arguments)

    def generate(context, builder, _, arguments):  # type: ignore[no-untyped-def]
        _, sums, before, after, totals, alpha, threshold, resets = arguments
        old, height = _vector(builder, before, count), _splat(builder, threshold, count)
        zero = ir.Constant(old.type, [0.0] * count)
        quiet = builder.fcmp_ordered("<", old, height)
        kept = builder.select(resets, builder.select(quiet, old, zero), old)
        new = builder.fadd(_vector(builder, sums, count), builder.fmul(kept, _splat(builder, alpha, count)))
        _vector(builder, after, count, new)
        _add(builder, _FLOAT, totals, new, count)
        bits = builder.bitcast(builder.fcmp_ordered(">=", new, height), ir.IntType(count))
        return builder.zext(bits, WORD) if count < WORD.width else bits

    return signature, generate
