"""Numbers at addresses for numba, one's own and those that threads share. Not here: vectors (lanes.py).

Addresses are intp: a variable that is a uintp at first, and then an int64, is a float64 to numba.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

BYTE, SHORT, BEGIN, WORD = ir.IntType(8), ir.IntType(16), ir.IntType(32), ir.IntType(64)


def number_of(builder: Any, address: Any, index: Any, kind: Any) -> Any:
    """Load one number of an array."""
    return builder.load(builder.gep(builder.inttoptr(address, kind.as_pointer()), [index]))


def _numbers(kind: Any) -> tuple[Any, Any]:
    """Return what reads, and what writes, a number of an array at an address.

    Functions that took arrays instead would count references to them, which takes longer than a pixel without spikes.
    """

    @intrinsic
    def number_at(typing, address, index):  # type: ignore[no-untyped-def]
        """Return the number at an index."""

        def generate(context, builder, _, arguments):  # type: ignore[no-untyped-def]
            return builder.zext(number_of(builder, arguments[0], arguments[1], kind), WORD)

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
    """Return what reads a named tuple of int64 from an array of such at an address."""
    fields = len(kind._fields)  # type: ignore[attr-defined]

    @intrinsic
    def record_at(typing, address, index):  # type: ignore[no-untyped-def]
        """Return the record at an index."""

        def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
            first = builder.mul(arguments[1], ir.Constant(WORD, fields))
            places = [builder.add(first, ir.Constant(WORD, i)) for i in range(fields)]
            numbers = [number_of(builder, arguments[0], place, WORD) for place in places]
            return context.make_tuple(builder, signature.return_type, numbers)

        return types.NamedUniTuple(types.int64, fields, kind)(types.intp, types.int64), generate

    return record_at


@intrinsic
def word_at(typing, address):  # type: ignore[no-untyped-def]
    """Return the int64 at an address, which may be any."""

    def generate(context, builder, _, arguments):  # type: ignore[no-untyped-def]
        word = builder.load(builder.inttoptr(arguments[0], WORD.as_pointer()))
        word.align = 1
        return word

    return types.int64(types.intp), generate


@intrinsic
def lowest(typing, bits):  # type: ignore[no-untyped-def]
    """Return the number of the lowest bit that is set; 64 of none."""

    def generate(context, builder, _, arguments):  # type: ignore[no-untyped-def]
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 0))

    return types.int64(types.uint64), generate


@intrinsic
def how_many(typing, bits):  # type: ignore[no-untyped-def]
    """Return how many bits are set."""

    def generate(context, builder, _, arguments):  # type: ignore[no-untyped-def]
        return builder.ctpop(arguments[0])

    return types.int64(types.uint64), generate


@intrinsic
def swapped(typing, address, old, new):  # type: ignore[no-untyped-def]
    """Write an int64 to an address if the old one is still there, at once for all threads; say whether it was."""

    def generate(context, builder, _, arguments):  # type: ignore[no-untyped-def]
        address, old, new = arguments
        pointer = builder.inttoptr(address, WORD.as_pointer())
        return builder.extract_value(builder.cmpxchg(pointer, old, new, "acq_rel", "acquire"), 1)

    return types.boolean(types.intp, types.int64, types.int64), generate


@intrinsic
def leave_at(typing, address, number):  # type: ignore[no-untyped-def]
    """Write an int64 to an address, and before it, for other threads, all that was written so far."""

    def generate(context, builder, _, arguments):  # type: ignore[no-untyped-def]
        pointer = builder.inttoptr(arguments[0], WORD.as_pointer())
        builder.store_atomic(arguments[1], pointer, "release", 8)
        return context.get_dummy_value()

    return types.void(types.intp, types.int64), generate


@intrinsic
def seen_at(typing, address):  # type: ignore[no-untyped-def]
    """Return the int64 at an address as other threads left it, and all that they wrote before."""

    def generate(context, builder, _, arguments):  # type: ignore[no-untyped-def]
        pointer = builder.inttoptr(arguments[0], WORD.as_pointer())
        return builder.load_atomic(pointer, "acquire", 8)

    return types.int64(types.intp), generate
