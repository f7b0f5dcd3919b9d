"""Loops over spikes for numba, in LLVM's own terms: what they add up stays in registers all the while.

Not here: single vectors (lanes.py), what calls these (reads.py).
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from livesnn.infer.spikes.lanes import FLOAT, FLOAT_BYTES, add_vector, plus, vector, widened
from livesnn.infer.spikes.words import BEGIN, BYTE, SHORT, WORD, number_of


def _phis(builder: Any, kind: Any, columns: int, rows: int) -> list[list[Any]]:
    """Return sums [columns, rows] that come from wherever control does."""
    return [[builder.phi(kind) for _ in range(rows)] for _ in range(columns)]


def _come(phis: list[list[Any]], values: list[list[Any]], block: Any) -> None:
    """Let sums be ``values`` where control comes from a block."""
    for column, known in zip(phis, values, strict=True):
        for phi, value in zip(column, known, strict=True):
            phi.add_incoming(value, block)


def _retire(builder: Any, kind: Any, column: list[Any], place: Any, line: Any, lanes: int) -> None:
    """Add a column of sums to those at an address, one row ``line`` bytes behind the other."""
    for total in column:
        add_vector(builder, kind, place, total, lanes)
        place = builder.add(place, line)


def _with_taps(
    builder: Any, kinds: tuple[Any, Any], row: Any, size: int, held: list[list[Any]], lanes: int
) -> list[list[Any]]:
    """Return three columns of sums with the nine taps of a spike added, or those of the rows that there are.

    ``row``: the address of its weights, ``size`` bytes each.
    """
    of_weights, of_sums = kinds
    added = []
    for kx, column in zip((2, 1, 0), held, strict=True):
        taps = [(ky * 3 + kx) * lanes * size for ky in reversed(range(len(column)))]
        places = [builder.add(row, ir.Constant(WORD, tap)) for tap in taps]
        loaded = [vector(builder, place, lanes, kind=of_weights) for place in places]
        wide = [widened(builder, one, lanes, of_sums) for one in loaded]
        added.append([plus(builder, of_sums, total, more) for total, more in zip(column, wide, strict=True)])
    return added


def _sweep(builder: Any, kinds: tuple[Any, Any], size: int, lanes: int, rows: int, arguments: Any) -> None:
    """Build the loop over pixels, and that over a pixel's spikes within it, of `_sweeps`."""
    _, _, weights, lists, begins, width, sums, step, line = arguments
    kind, one, entry = ir.VectorType(kinds[1], lanes), ir.Constant(WORD, 1), builder.block
    nothing = [ir.Constant(kind, None)] * rows
    names = ("pixel", "spike", "passed", "left", "next", "end")
    pixel, spike, passed, left, following, end = map(builder.append_basic_block, names)
    start = builder.zext(number_of(builder, begins, ir.Constant(WORD, 0), BEGIN), WORD)
    outside = builder.sub(sums, step)
    builder.branch(pixel)

    builder.position_at_end(pixel)
    x, first, carried = builder.phi(WORD), builder.phi(WORD), _phis(builder, kind, 2, rows)
    # Where the lists of the last two pixels begin.
    first_before, first_earlier = builder.phi(WORD), builder.phi(WORD)
    place, x_next = builder.phi(WORD), builder.add(x, one)  # where the sums of the pixel before lie
    last = builder.zext(number_of(builder, begins, x_next, BEGIN), WORD)
    before = [*carried, nothing]
    builder.cbranch(builder.icmp_signed("<", first, last), spike, passed)

    builder.position_at_end(spike)
    index, held = builder.phi(WORD), _phis(builder, kind, 3, rows)
    channel = builder.zext(number_of(builder, lists, index, SHORT), WORD)
    row = builder.add(weights, builder.mul(channel, ir.Constant(WORD, 9 * lanes * size)))
    added, after = _with_taps(builder, kinds, row, size, held, lanes), builder.add(index, one)
    _come([[index], *held], [[first], *before], pixel)
    _come([[index], *held], [[after], *added], spike)
    builder.cbranch(builder.icmp_signed("<", after, last), spike, passed)

    builder.position_at_end(passed)
    whole = _phis(builder, kind, 3, rows)
    _come(whole, before, pixel)
    _come(whole, added, spike)
    quiet = builder.icmp_signed("==", last, first_earlier)
    none = builder.or_(quiet, builder.icmp_signed("==", x, ir.Constant(WORD, 0)))
    builder.cbranch(none, following, left)
    builder.position_at_end(left)  # of the first pixel, or of three without spikes, there is none left
    _retire(builder, kinds[1], whole[0], place, line, lanes)
    builder.branch(following)

    builder.position_at_end(following)
    place_next = builder.add(place, step)
    known = [x, first, first_before, first_earlier, place]
    _come([known, *carried], [[ir.Constant(WORD, 0), start, start, start, outside], nothing, nothing], entry)
    _come([known, *carried], [[x_next, last, first, first_before, place_next], *whole[1:]], following)
    builder.cbranch(builder.icmp_signed("<", x_next, width), pixel, end)
    builder.position_at_end(end)
    _retire(builder, kinds[1], whole[1], place_next, line, lanes)


def _sweeps(of_weights: Any, of_sums: Any, size: int) -> Any:
    """Return what sweeps by weights of one kind, ``size`` bytes each, to sums of another."""

    @intrinsic
    def sweep(typing, lanes, rows, weights, lists, begins, width, sums, step, line):  # type: ignore[no-untyped-def]
        """Spread the spikes of a row of pixels over sums of ``rows`` rows of outputs, through kernels of 3×3.

        What a pixel's three columns of outputs get stays in registers until the pixels that reach them have passed;
        columns that no spike reaches aren't written.

        Parameters
        ----------
        weights
            Address of [C, 9, lanes], and 3 · lanes further for each ky left out.
        lists, begins, width
            Addresses of the channels that spike, and of int32 [width + 1], where those of each pixel begin.
        sums, step, line
            Address of [rows, width, lanes]; bytes from pixel to pixel, and from row to row. The first row gets what
            the highest ky has.
        """
        if not (isinstance(lanes, types.IntegerLiteral) and isinstance(rows, types.IntegerLiteral)):
            return None
        lanes_of, rows_of_outputs = lanes.literal_value, rows.literal_value

        def generate(context, builder, _, arguments):  # type: ignore[no-untyped-def]
            _sweep(builder, (of_weights, of_sums), size, lanes_of, rows_of_outputs, arguments)
            return context.get_dummy_value()

        whole, address = types.int64, types.intp
        places = (address, address, address, whole, address, whole, whole)
        return types.void(lanes, rows, *places), generate

    return sweep


sweep_bytes, sweep_floats = _sweeps(BYTE, SHORT, 1), _sweeps(FLOAT, FLOAT, FLOAT_BYTES)
