"""Vectors of neurons for numba, as LLVM's own: it splits them into those of the processor (AVX-512, AVX2, NEON).

All take addresses: what they add up stays in registers from the first spike to the last. Not here: loops over pixels.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from livesnn.infer.spikes.words import BYTE, SHORT, WORD, number_of

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


def _add(builder: Any, kind: Any, total: Any, value: Any, lanes: int) -> None:
    """Add a vector to what lies at an address."""
    add = builder.fadd if kind is _FLOAT else builder.add
    _vector(builder, total, lanes, add(_vector(builder, total, lanes, kind=kind), value), kind=kind)


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


@intrinsic
def add_floats(typing, lanes, sums, rows, off):  # type: ignore[no-untyped-def]
    """Add to sums float32 [lanes] the float32 that lie ``off`` bytes behind each of the rows."""
    if not isinstance(lanes, types.IntegerLiteral):
        return None
    width = lanes.literal_value

    def generate(context, builder, _, arguments):  # type: ignore[no-untyped-def]
        _, sums, together, off = arguments
        total = None
        for i in range(len(rows)):
            row = _vector(builder, builder.add(builder.extract_value(together, i), off), width)
            total = row if total is None else builder.fadd(total, row)
        _add(builder, _FLOAT, sums, total, width)
        return context.get_dummy_value()

    return types.void(lanes, types.uintp, rows, types.int64), generate


@intrinsic
def add_bytes(typing, lanes, sums, rows, off):  # type: ignore[no-untyped-def]
    """As `add_floats`, of int8 to sums int16."""
    if not isinstance(lanes, types.IntegerLiteral):
        return None
    width = lanes.literal_value

    def generate(context, builder, _, arguments):  # type: ignore[no-untyped-def]
        _, sums, together, off = arguments
        total = None
        for i in range(len(rows)):
            place = builder.add(builder.extract_value(together, i), off)
            row = builder.sext(_vector(builder, place, width, kind=BYTE), ir.VectorType(SHORT, width))
            total = row if total is None else builder.add(total, row)
        _add(builder, SHORT, sums, total, width)
        return context.get_dummy_value()

    return types.void(lanes, types.uintp, rows, types.int64), generate


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
    count, number = lanes.literal_value, rows.literal_value
    kind = ir.VectorType(SHORT, count)
    zero = ir.Constant(kind, [0] * count)

    def retire(builder, held, sums, line, column):  # type: ignore[no-untyped-def]
        place = builder.add(sums, builder.mul(column, ir.Constant(WORD, count * SHORT_BYTES)))
        for total in held:
            _add(builder, SHORT, place, total, count)
            place = builder.add(place, line)

    def spread(builder, weights, entry, held):  # type: ignore[no-untyped-def]
        """Return the three columns with a spike's nine taps added."""
        row = builder.add(weights, builder.mul(entry, ir.Constant(WORD, 9 * count)))
        added = []
        for column, totals in enumerate(held):
            kx = 2 - column
            taps = [((number - 1 - j) * 3 + kx) * count for j in range(number)]
            places = [builder.add(row, ir.Constant(WORD, tap)) for tap in taps]
            loaded = [builder.sext(_vector(builder, place, count, kind=BYTE), kind) for place in places]
            added.append([builder.add(total, more) for total, more in zip(totals, loaded, strict=True)])
        return added

    def generate(context, builder, _, arguments):  # type: ignore[no-untyped-def]
        _, _, weights, lists, begins, width, sums, line = arguments
        word = ir.IntType(32)
        entry = builder.block
        pixel, spike, passed, end = map(builder.append_basic_block, ("pixel", "spike", "passed", "end"))
        start = builder.sext(number_of(builder, begins, ir.Constant(WORD, 0), word), WORD)
        builder.branch(pixel)
        builder.position_at_end(pixel)
        x, first = builder.phi(WORD), builder.phi(WORD)
        carried = [[builder.phi(kind) for _ in range(number)] for _ in range(2)]
        following = builder.add(x, ir.Constant(WORD, 1))
        last = builder.sext(number_of(builder, begins, following, word), WORD)
        builder.cbranch(builder.icmp_signed("<", first, last), spike, passed)
        builder.position_at_end(spike)
        index = builder.phi(WORD)
        held = [[builder.phi(kind) for _ in range(number)] for _ in range(3)]
        channel = builder.zext(number_of(builder, lists, index, SHORT), WORD)
        added = spread(builder, weights, channel, held)
        after = builder.add(index, ir.Constant(WORD, 1))
        index.add_incoming(first, pixel)
        index.add_incoming(after, spike)
        before = [*carried, [zero] * number]
        for column in range(3):
            for j in range(number):
                held[column][j].add_incoming(before[column][j], pixel)
                held[column][j].add_incoming(added[column][j], spike)
        builder.cbranch(builder.icmp_signed("<", after, last), spike, passed)
        builder.position_at_end(passed)
        whole = [[builder.phi(kind) for _ in range(number)] for _ in range(3)]
        for column in range(3):
            for j in range(number):
                whole[column][j].add_incoming(before[column][j], pixel)
                whole[column][j].add_incoming(added[column][j], spike)
        left, right = builder.append_basic_block("left"), builder.append_basic_block("right")
        builder.cbranch(builder.icmp_signed("==", x, ir.Constant(WORD, 0)), right, left)
        builder.position_at_end(left)  # the column left of the first pixel is none
        retire(builder, whole[0], sums, line, builder.sub(x, ir.Constant(WORD, 1)))
        builder.branch(right)
        builder.position_at_end(right)
        x.add_incoming(ir.Constant(WORD, 0), entry)
        x.add_incoming(following, right)
        first.add_incoming(start, entry)
        first.add_incoming(last, right)
        for column in range(2):
            for j in range(number):
                carried[column][j].add_incoming(zero, entry)
                carried[column][j].add_incoming(whole[column + 1][j], right)
        builder.cbranch(builder.icmp_signed("<", following, width), pixel, end)
        builder.position_at_end(end)
        retire(builder, whole[1], sums, line, x)
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
    """Add the float32 at an address to one of the sums at another."""

    def generate(context, builder, _, arguments):  # type: ignore[no-untyped-def]
        sums, index, number = arguments
        place = builder.gep(builder.inttoptr(sums, _FLOAT.as_pointer()), [index])
        by = builder.load(builder.inttoptr(number, _FLOAT.as_pointer()))
        builder.store(builder.fadd(builder.load(place), by), place)
        return context.get_dummy_value()

    return types.void(types.uintp, types.int64, types.uintp), generate


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
        return builder.zext(bits, WORD) if count < WORD.width else bits

    return signature, generate
