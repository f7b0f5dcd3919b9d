"""What the kernels are built from: compile decorators, and LLVM instructions that numba lacks.

The instructions read and write numbers at addresses, atomically where threads share them, and vectors of any number
of lanes. LLVM splits vectors into those of the processor (AVX-512, AVX2, NEON). Addresses are intp: numba would make
a float64 of a variable that is first a uintp and then an int64.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial, reduce, wraps
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from livesnn.compiled import njit

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


LITERAL, ANY = object(), object()
"""Kinds of an `instruction`'s arguments: an int that is known when the caller is compiled, and whatever is given."""


def instruction(result: Any, *kinds: Any) -> Callable[[Callable[..., Any]], Any]:
    """Return a decorator that makes an intrinsic of a function which builds LLVM code; None is void."""

    def decorate(build: Callable[..., Any]) -> Any:
        @wraps(build)
        def declare(typing, *given):  # type: ignore[no-untyped-def]
            known = [kind is LITERAL for kind in kinds]
            if any(lit and not isinstance(one, types.IntegerLiteral) for lit, one in zip(known, given, strict=True)):
                return None

            def generate(context, builder, _, values):  # type: ignore[no-untyped-def]
                each = zip(known, given, values, strict=True)
                made = build(builder, *(one.literal_value if lit else value for lit, one, value in each))
                return context.get_dummy_value() if made is None else made

            each = zip(kinds, given, strict=True)
            return result(*(one if kind in (LITERAL, ANY) else kind for kind, one in each)), generate

        return intrinsic(declare)

    return decorate


BYTE, SHORT, BEGIN, WORD = ir.IntType(8), ir.IntType(16), ir.IntType(32), ir.IntType(64)
FLOAT, FLOAT_BYTES, SHORT_BYTES = ir.FloatType(), 4, 2


def place_of(builder: Any, address: Any, index: Any, kind: Any) -> Any:
    return builder.gep(builder.inttoptr(address, kind.as_pointer()), [index])


def load_number(builder: Any, address: Any, index: Any, kind: Any) -> Any:
    return builder.load(place_of(builder, address, index, kind))


def _numbers(kind: Any) -> tuple[Any, Any]:
    """Return two intrinsics that read and write a number at an address; of arrays numba would count references."""

    @instruction(types.int64, types.intp, types.int64)
    def number_at(builder, address, index):  # type: ignore[no-untyped-def]
        return builder.zext(load_number(builder, address, index, kind), WORD)

    @instruction(types.void, types.intp, types.int64, types.int64)
    def put_number(builder, address, index, number):  # type: ignore[no-untyped-def]
        builder.store(builder.trunc(number, kind), place_of(builder, address, index, kind))

    return number_at, put_number


count_at, put_count = _numbers(BYTE)
spike_at, put_spike = _numbers(SHORT)
begin_at, put_begin = _numbers(BEGIN)
marks_at = _numbers(WORD)[0]


def records(kind: type[tuple[Any, ...]]) -> Any:
    """Return an intrinsic that reads a named tuple of int64 at an index of an array of them."""
    fields = len(kind._fields)  # type: ignore[attr-defined]

    @intrinsic
    def record_at(typing, address, index):  # type: ignore[no-untyped-def]
        def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
            first = builder.mul(arguments[1], ir.Constant(WORD, fields))
            places = [builder.add(first, ir.Constant(WORD, i)) for i in range(fields)]
            numbers = [load_number(builder, arguments[0], place, WORD) for place in places]
            return context.make_tuple(builder, signature.return_type, numbers)

        return types.NamedUniTuple(types.int64, fields, kind)(types.intp, types.int64), generate

    return record_at


@instruction(types.int64, types.intp)
def load_unaligned(builder, address):  # type: ignore[no-untyped-def]
    """Return the int64 at an address that needn't be a multiple of 8."""
    word = builder.load(builder.inttoptr(address, WORD.as_pointer()))
    word.align = 1
    return word


@instruction(types.int64, types.uint64)
def trailing_zeros(builder, bits):  # type: ignore[no-untyped-def]
    """Return the index of the lowest bit that is set; 64 if none is."""
    return builder.cttz(bits, ir.Constant(ir.IntType(1), 0))


@instruction(types.int64, types.uint64)
def popcount(builder, bits):  # type: ignore[no-untyped-def]
    return builder.ctpop(bits)


@instruction(types.boolean, types.intp, types.int64, types.int64)
def compare_and_swap(builder, address, old, new):  # type: ignore[no-untyped-def]
    """Replace the int64 at an address if it still is ``old``, atomically; return whether it was."""
    pointer = builder.inttoptr(address, WORD.as_pointer())
    return builder.extract_value(builder.cmpxchg(pointer, old, new, "acq_rel", "acquire"), 1)


@instruction(types.void, types.intp, types.int64)
def store_release(builder, address, number):  # type: ignore[no-untyped-def]
    """Write an int64 to an address; threads that `load_acquire` it see all that was written before."""
    builder.store_atomic(number, builder.inttoptr(address, WORD.as_pointer()), "release", 8)


@instruction(types.int64, types.intp)
def load_acquire(builder, address):  # type: ignore[no-untyped-def]
    """Return the int64 at an address; all that was written before its `store_release` is seen from here on."""
    return builder.load_atomic(builder.inttoptr(address, WORD.as_pointer()), "acquire", 8)


def vector(builder: Any, address: Any, lanes: int, value: Any = None, kind: Any = FLOAT) -> Any:
    """Load [lanes] at an address, or store ``value`` there."""
    pointer = builder.inttoptr(address, ir.VectorType(kind, lanes).as_pointer())
    done = builder.load(pointer) if value is None else builder.store(value, pointer)
    done.align = 1
    return done


def splat(builder: Any, number: Any, lanes: int) -> Any:
    kind, index = ir.VectorType(FLOAT, lanes), ir.IntType(32)
    one = builder.insert_element(ir.Constant(kind, ir.Undefined), number, ir.Constant(index, 0))
    return builder.shuffle_vector(one, one, ir.Constant(ir.VectorType(index, lanes), [0] * lanes))


def plus(builder: Any, kind: Any, one: Any, other: Any) -> Any:
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

    @instruction(types.void, LITERAL, types.intp, ANY, types.int64)
    def add_rows(builder, lanes, sums, rows, off):  # type: ignore[no-untyped-def]
        """Add to sums [lanes] the vectors that lie ``off`` bytes behind the addresses ``rows``."""
        places = [builder.add(builder.extract_value(rows, i), off) for i in range(rows.type.count)]
        loaded = [vector(builder, place, lanes, kind=kind) for place in places]
        wide = [widened(builder, row, lanes, total) for row in loaded]
        add_vector(builder, total, sums, reduce(partial(plus, builder, total), wide), lanes)

    return add_rows


add_floats, add_bytes = _adds(FLOAT, FLOAT), _adds(BYTE, SHORT)


@instruction(types.void, LITERAL, types.intp, types.intp, types.intp, types.intp)
def dequantize_onto(builder, lanes, shorts, scales, onto, sums):  # type: ignore[no-untyped-def]
    """Write to float32 [lanes] what lies at ``onto`` plus int16 sums times their scales, and zero the sums."""
    whole = vector(builder, shorts, lanes, kind=SHORT)
    floats = builder.sitofp(whole, ir.VectorType(FLOAT, lanes))
    scaled = builder.fmul(floats, vector(builder, scales, lanes))
    vector(builder, sums, lanes, builder.fadd(vector(builder, onto, lanes), scaled))
    vector(builder, shorts, lanes, ir.Constant(whole.type, [0] * lanes), kind=SHORT)


@instruction(types.void, LITERAL, types.intp, types.uint64, types.float32)
def add_marked(builder, lanes, sums, marks, number):  # type: ignore[no-untyped-def]
    """Add a float32 to those of the sums float32 [lanes] whose bit is set in ``marks``."""
    more = splat(builder, number, lanes)
    bits = builder.trunc(marks, ir.IntType(lanes))
    marked = builder.bitcast(bits, ir.VectorType(ir.IntType(1), lanes))
    added = builder.select(marked, more, ir.Constant(more.type, [0.0] * lanes))
    add_vector(builder, FLOAT, sums, added, lanes)


@instruction(types.float32, types.intp)
def float_at(builder, address):  # type: ignore[no-untyped-def]
    return builder.load(builder.inttoptr(address, FLOAT.as_pointer()))


@instruction(types.void, types.intp, types.int64, types.float32)
def put_float(builder, address, index, number):  # type: ignore[no-untyped-def]
    builder.store(number, place_of(builder, address, index, FLOAT))


@instruction(types.float32, LITERAL, types.intp)
def drain_sum(builder, lanes, address):  # type: ignore[no-untyped-def]
    """Return the sum of float32 [lanes] at an address, and set them to zero."""
    total, half = vector(builder, address, lanes), lanes
    vector(builder, address, lanes, ir.Constant(total.type, [0.0] * lanes))
    while half > 1:
        half //= 2
        index = ir.VectorType(ir.IntType(32), half)
        halves = [
            builder.shuffle_vector(total, total, ir.Constant(index, list(range(first, first + half))))
            for first in (0, half)
        ]
        total = builder.fadd(*halves)
    return builder.extract_element(total, ir.Constant(ir.IntType(32), 0))


@instruction(types.void, LITERAL, types.intp, types.intp)
def copy(builder, lanes, source, target):  # type: ignore[no-untyped-def]
    vector(builder, target, lanes, vector(builder, source, lanes))


def _marked(kind: Any) -> Any:
    @instruction(types.uint64, LITERAL, types.intp)
    def marked(builder, lanes, address):  # type: ignore[no-untyped-def]
        """Return a bit for each number of [lanes] at an address that isn't 0."""
        numbers = vector(builder, address, lanes, kind=kind)
        differs = builder.fcmp_unordered if kind is FLOAT else builder.icmp_unsigned
        bits = builder.bitcast(differs("!=", numbers, ir.Constant(numbers.type, None)), ir.IntType(lanes))
        return builder.zext(bits, WORD) if lanes < WORD.width else bits

    return marked


marked_floats, marked_bytes = _marked(FLOAT), _marked(BYTE)


@instruction(types.void, LITERAL, types.intp, types.intp, types.float32)
def add_times(builder, lanes, sums, row, number):  # type: ignore[no-untyped-def]
    """Add a row times a number to sums float32 [lanes]."""
    more = builder.fmul(vector(builder, row, lanes), splat(builder, number, lanes))
    add_vector(builder, FLOAT, sums, more, lanes)
