"""What the kernels are built from: compile decorators, and LLVM instructions that numba lacks.

The instructions read and write numbers at addresses, atomically where threads share them, and vectors of any number
of lanes. LLVM splits vectors into those of the processor (AVX-512, AVX2, NEON). Addresses are intp: numba would make
a float64 of a variable that is first a uintp and then an int64.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial, reduce
from typing import Any

from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

entry_point = njit(nogil=True, cache=True)
"""Compiles a function that Python calls, and caches it on disk with all that it calls."""
compiled = njit(no_cpython_wrapper=True, no_cfunc_wrapper=True)
"""Compiles a function that only compiled ones call. Wrappers for Python and C would take a third of the time."""
inlined = njit(inline="always")
"""Compiles a function as a part of its callers. LLVM optimizes a `compiled` one again at each level of calls."""


def specialized(*what: object) -> Callable[[Callable[..., Any]], Any]:
    """Return `compiled` for a function that is made several times, such as once for each number of lanes.

    Each one gets a name of its own. numba finds code by name: of two functions with one name, cached by different
    processes, it would take the first for both.
    """

    def decorate(function: Callable[..., Any]) -> Any:
        function.__qualname__ += "_".join(["", *map(str, what)])
        return compiled(function)

    return decorate


BYTE, SHORT, BEGIN, WORD = ir.IntType(8), ir.IntType(16), ir.IntType(32), ir.IntType(64)


def load_number(builder: Any, address: Any, index: Any, kind: Any) -> Any:
    """Load one number of an array."""
    return builder.load(builder.gep(builder.inttoptr(address, kind.as_pointer()), [index]))


def _numbers(kind: Any) -> tuple[Any, Any]:
    """Return two intrinsics that read and write a number of an array, given its address.

    With arrays as arguments numba would count references to them, which takes longer than a pixel without spikes.
    """

    @intrinsic
    def number_at(typing, address, index):  # type: ignore[no-untyped-def]
        """Return the number at an index."""

        def generate(context, builder, _, arguments):  # type: ignore[no-untyped-def]
            return builder.zext(load_number(builder, arguments[0], arguments[1], kind), WORD)

        return types.int64(types.intp, types.int64), generate

    @intrinsic
    def put_number(typing, address, index, number):  # type: ignore[no-untyped-def]
        """Write the number at an index."""

        def generate(context, builder, _, arguments):  # type: ignore[no-untyped-def]
            address, index, number = arguments
            place = builder.gep(builder.inttoptr(address, kind.as_pointer()), [index])
            builder.store(builder.trunc(number, kind), place)
            return context.get_dummy_value()

        return types.void(types.intp, types.int64, types.int64), generate

    return number_at, put_number


count_at, put_count = _numbers(BYTE)
spike_at, put_spike = _numbers(SHORT)
begin_at, put_begin = _numbers(BEGIN)
marks_at = _numbers(WORD)[0]


def records(kind: type[tuple[Any, ...]]) -> Any:
    """Return an intrinsic that reads one named tuple of int64 from an array of them at an address."""
    fields = len(kind._fields)  # type: ignore[attr-defined]

    @intrinsic
    def record_at(typing, address, index):  # type: ignore[no-untyped-def]
        """Return the record at an index."""

        def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
            first = builder.mul(arguments[1], ir.Constant(WORD, fields))
            places = [builder.add(first, ir.Constant(WORD, i)) for i in range(fields)]
            numbers = [load_number(builder, arguments[0], place, WORD) for place in places]
            return context.make_tuple(builder, signature.return_type, numbers)

        return types.NamedUniTuple(types.int64, fields, kind)(types.intp, types.int64), generate

    return record_at


@intrinsic
def load_unaligned(typing, address):  # type: ignore[no-untyped-def]
    """Return the int64 at an address that needn't be a multiple of 8."""

    def generate(context, builder, _, arguments):  # type: ignore[no-untyped-def]
        word = builder.load(builder.inttoptr(arguments[0], WORD.as_pointer()))
        word.align = 1
        return word

    return types.int64(types.intp), generate


@intrinsic
def trailing_zeros(typing, bits):  # type: ignore[no-untyped-def]
    """Return the index of the lowest bit that is set; 64 if none is."""

    def generate(context, builder, _, arguments):  # type: ignore[no-untyped-def]
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 0))

    return types.int64(types.uint64), generate


@intrinsic
def popcount(typing, bits):  # type: ignore[no-untyped-def]
    """Return how many bits are set."""

    def generate(context, builder, _, arguments):  # type: ignore[no-untyped-def]
        return builder.ctpop(arguments[0])

    return types.int64(types.uint64), generate


@intrinsic
def compare_and_swap(typing, address, old, new):  # type: ignore[no-untyped-def]
    """Replace the int64 at an address if it still is ``old``, atomically; return whether it was."""

    def generate(context, builder, _, arguments):  # type: ignore[no-untyped-def]
        address, old, new = arguments
        pointer = builder.inttoptr(address, WORD.as_pointer())
        return builder.extract_value(builder.cmpxchg(pointer, old, new, "acq_rel", "acquire"), 1)

    return types.boolean(types.intp, types.int64, types.int64), generate


@intrinsic
def store_release(typing, address, number):  # type: ignore[no-untyped-def]
    """Write an int64 to an address; threads that `load_acquire` it see all that was written before."""

    def generate(context, builder, _, arguments):  # type: ignore[no-untyped-def]
        pointer = builder.inttoptr(arguments[0], WORD.as_pointer())
        builder.store_atomic(arguments[1], pointer, "release", 8)
        return context.get_dummy_value()

    return types.void(types.intp, types.int64), generate


@intrinsic
def load_acquire(typing, address):  # type: ignore[no-untyped-def]
    """Return the int64 at an address; all that was written before its `store_release` is seen from here on."""

    def generate(context, builder, _, arguments):  # type: ignore[no-untyped-def]
        pointer = builder.inttoptr(arguments[0], WORD.as_pointer())
        return builder.load_atomic(pointer, "acquire", 8)

    return types.int64(types.intp), generate


FLOAT, _BITS = ir.FloatType(), ir.IntType(32)
DOUBLE_BYTES, FLOAT_BYTES, SHORT_BYTES = 8, 4, 2


def vector(builder: Any, address: Any, lanes: int, value: Any = None, kind: Any = FLOAT) -> Any:
    """Load [lanes] at an address, or store ``value`` there."""
    pointer = builder.inttoptr(address, ir.VectorType(kind, lanes).as_pointer())
    done = builder.load(pointer) if value is None else builder.store(value, pointer)
    done.align = 1
    return done


def splat(builder: Any, number: Any, lanes: int) -> Any:
    """Return a vector whose lanes are all ``number``."""
    kind, index = ir.VectorType(FLOAT, lanes), ir.IntType(32)
    one = builder.insert_element(ir.Constant(kind, ir.Undefined), number, ir.Constant(index, 0))
    return builder.shuffle_vector(one, one, ir.Constant(ir.VectorType(index, lanes), [0] * lanes))


def plus(builder: Any, kind: Any, one: Any, other: Any) -> Any:
    """Return the sum of two vectors of a kind."""
    return builder.fadd(one, other) if kind is FLOAT else builder.add(one, other)


def add_vector(builder: Any, kind: Any, total: Any, value: Any, lanes: int) -> None:
    """Add a vector to what lies at an address."""
    so_far = vector(builder, total, lanes, kind=kind)
    vector(builder, total, lanes, plus(builder, kind, so_far, value), kind=kind)


def widened(builder: Any, row: Any, lanes: int, kind: Any) -> Any:
    """Return a vector of int8 as int16 where the sums are; others as they are."""
    return builder.sext(row, ir.VectorType(kind, lanes)) if kind is SHORT else row


@intrinsic
def rows_of(typing, number, size, weights, lists, first):  # type: ignore[no-untyped-def]
    """Return the addresses of the rows of weights that ``number`` entries of a list name, of ``size`` bytes each."""
    if not isinstance(number, types.IntegerLiteral):
        return None
    together = types.UniTuple(types.intp, number.literal_value)

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        _, size, weights, lists, first = arguments
        rows = []
        for i in range(len(together)):
            entry = load_number(builder, lists, builder.add(first, ir.Constant(WORD, i)), SHORT)
            off = builder.mul(builder.zext(entry, WORD), size)
            rows.append(builder.add(weights, off))
        return context.make_tuple(builder, signature.return_type, rows)

    return together(number, types.int64, types.intp, types.intp, types.int64), generate


def _adds(kind: Any, total: Any) -> Any:
    """Return an intrinsic that adds rows to sums: int8 to int16, or float32 to float32."""

    @intrinsic
    def add_rows(typing, lanes, sums, rows, off):  # type: ignore[no-untyped-def]
        """Add to sums [lanes] the vectors that lie ``off`` bytes behind the addresses ``rows``."""
        if not isinstance(lanes, types.IntegerLiteral):
            return None
        width = lanes.literal_value

        def generate(context, builder, _, arguments):  # type: ignore[no-untyped-def]
            _, sums, together, off = arguments
            places = [builder.add(builder.extract_value(together, i), off) for i in range(len(rows))]
            loaded = [vector(builder, place, width, kind=kind) for place in places]
            wide = [widened(builder, row, width, total) for row in loaded]
            add_vector(builder, total, sums, reduce(partial(plus, builder, total), wide), width)
            return context.get_dummy_value()

        return types.void(lanes, types.intp, rows, types.int64), generate

    return add_rows


add_floats, add_bytes = _adds(FLOAT, FLOAT), _adds(BYTE, SHORT)


@intrinsic
def dequantize_onto(typing, lanes, shorts, scales, onto, sums):  # type: ignore[no-untyped-def]
    """Write to float32 [lanes] at ``sums``: what lies at ``onto`` plus int16 sums times their scales.

    The int16 sums are set to zero.
    """
    if not isinstance(lanes, types.IntegerLiteral):
        return None
    count = lanes.literal_value

    def generate(context, builder, _, arguments):  # type: ignore[no-untyped-def]
        _, shorts, scales, onto, sums = arguments
        whole = vector(builder, shorts, count, kind=SHORT)
        floats = builder.sitofp(whole, ir.VectorType(FLOAT, count))
        scaled = builder.fmul(floats, vector(builder, scales, count))
        vector(builder, sums, count, builder.fadd(vector(builder, onto, count), scaled))
        vector(builder, shorts, count, ir.Constant(whole.type, [0] * count), kind=SHORT)
        return context.get_dummy_value()

    return types.void(lanes, types.intp, types.intp, types.intp, types.intp), generate


@intrinsic
def add_marked(typing, lanes, sums, marks, number):  # type: ignore[no-untyped-def]
    """Add a float32 to those of the sums float32 [lanes] whose bit is set in ``marks``."""
    if not isinstance(lanes, types.IntegerLiteral):
        return None
    count = lanes.literal_value

    def generate(context, builder, _, arguments):  # type: ignore[no-untyped-def]
        _, sums, marks, number = arguments
        more, bits = splat(builder, number, count), ir.IntType(count)
        marked = builder.bitcast(builder.trunc(marks, bits), ir.VectorType(ir.IntType(1), count))
        added = builder.select(marked, more, ir.Constant(more.type, [0.0] * count))
        add_vector(builder, FLOAT, sums, added, count)
        return context.get_dummy_value()

    return types.void(lanes, types.intp, types.uint64, types.float32), generate


def _number_at(kind: Any, known: Any) -> Any:
    @intrinsic
    def number_at(typing, address):  # type: ignore[no-untyped-def]
        """Return the number at an address."""

        def generate(context, builder, _, arguments):  # type: ignore[no-untyped-def]
            return builder.load(builder.inttoptr(arguments[0], kind.as_pointer()))

        return known(types.intp), generate

    return number_at


float_at, double_at = _number_at(FLOAT, types.float32), _number_at(ir.DoubleType(), types.float64)


@intrinsic
def put_float(typing, address, index, number):  # type: ignore[no-untyped-def]
    """Write a float32 to an index of an array at an address."""

    def generate(context, builder, _, arguments):  # type: ignore[no-untyped-def]
        address, index, number = arguments
        builder.store(number, builder.gep(builder.inttoptr(address, FLOAT.as_pointer()), [index]))
        return context.get_dummy_value()

    return types.void(types.intp, types.int64, types.float32), generate


@intrinsic
def drain_sum(typing, lanes, address):  # type: ignore[no-untyped-def]
    """Return the sum of float32 [lanes] at an address, and set them to zero."""
    if not isinstance(lanes, types.IntegerLiteral):
        return None
    count = lanes.literal_value

    def generate(context, builder, _, arguments):  # type: ignore[no-untyped-def]
        total, half = vector(builder, arguments[1], count), count
        vector(builder, arguments[1], count, ir.Constant(total.type, [0.0] * count))
        while half > 1:
            half //= 2
            index = ir.VectorType(ir.IntType(32), half)
            halves = [
                builder.shuffle_vector(total, total, ir.Constant(index, list(range(first, first + half))))
                for first in (0, half)
            ]
            total = builder.fadd(*halves)
        return builder.extract_element(total, ir.Constant(ir.IntType(32), 0))

    return types.float32(lanes, types.intp), generate


@intrinsic
def copy(typing, lanes, source, target):  # type: ignore[no-untyped-def]
    """Copy float32 [lanes] from one address to another."""
    if not isinstance(lanes, types.IntegerLiteral):
        return None

    def generate(context, builder, _, arguments):  # type: ignore[no-untyped-def]
        _, source, target = arguments
        vector(builder, target, lanes.literal_value, vector(builder, source, lanes.literal_value))
        return context.get_dummy_value()

    return types.void(lanes, types.intp, types.intp), generate


def _marked(kind: Any) -> Any:
    """Return an intrinsic that marks numbers other than 0."""

    @intrinsic
    def marked(typing, lanes, address):  # type: ignore[no-untyped-def]
        """Return a bit for each number of [lanes] at an address that isn't 0."""
        if not isinstance(lanes, types.IntegerLiteral):
            return None
        count = lanes.literal_value

        def generate(context, builder, _, arguments):  # type: ignore[no-untyped-def]
            numbers = vector(builder, arguments[1], count, kind=kind)
            differs = builder.fcmp_unordered if kind is FLOAT else builder.icmp_unsigned
            bits = builder.bitcast(differs("!=", numbers, ir.Constant(numbers.type, None)), ir.IntType(count))
            return builder.zext(bits, WORD) if count < WORD.width else bits

        return types.uint64(lanes, types.intp), generate

    return marked


marked_floats, marked_bytes = _marked(FLOAT), _marked(BYTE)


@intrinsic
def add_times(typing, lanes, sums, row, number):  # type: ignore[no-untyped-def]
    """Add a row times a number to sums float32 [lanes]."""
    if not isinstance(lanes, types.IntegerLiteral):
        return None
    count = lanes.literal_value

    def generate(context, builder, _, arguments):  # type: ignore[no-untyped-def]
        _, sums, row, number = arguments
        more = builder.fmul(vector(builder, row, count), splat(builder, number, count))
        add_vector(builder, FLOAT, sums, more, count)
        return context.get_dummy_value()

    return types.void(lanes, types.intp, types.intp, types.float32), generate


@intrinsic
def widen(typing, lanes, halves, floats):  # type: ignore[no-untyped-def]
    """Convert bfloat16 [lanes] at the address ``halves`` to float32 at the address ``floats``."""
    if not isinstance(lanes, types.IntegerLiteral):
        return None
    count = lanes.literal_value

    def generate(context, builder, _, arguments):  # type: ignore[no-untyped-def]
        _, halves, floats = arguments
        bits = builder.zext(vector(builder, halves, count, kind=SHORT), ir.VectorType(_BITS, count))
        vector(builder, floats, count, builder.shl(bits, ir.Constant(bits.type, [16] * count)), kind=_BITS)
        return context.get_dummy_value()

    return types.void(lanes, types.intp, types.intp), generate


@intrinsic
def narrow(typing, lanes, floats, halves):  # type: ignore[no-untyped-def]
    """Convert finite float32 [lanes] to bfloat16, rounded to the nearest, ties to even; both at addresses."""
    if not isinstance(lanes, types.IntegerLiteral):
        return None
    count = lanes.literal_value

    def generate(context, builder, _, arguments):  # type: ignore[no-untyped-def]
        _, floats, halves = arguments
        bits = vector(builder, floats, count, kind=_BITS)
        sixteen, one, half = (ir.Constant(bits.type, [number] * count) for number in (16, 1, 0x7FFF))
        odd = builder.and_(builder.lshr(bits, sixteen), one)
        rounded = builder.lshr(builder.add(bits, builder.add(odd, half)), sixteen)
        vector(builder, halves, count, builder.trunc(rounded, ir.VectorType(SHORT, count)), kind=SHORT)
        return context.get_dummy_value()

    return types.void(lanes, types.intp, types.intp), generate
