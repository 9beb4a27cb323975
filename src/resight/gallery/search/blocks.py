"""What an index is made of: blocks of rows with int8 codes, and a tail of the newest ones as float32.

For a row x = scale * code + e and a query q = step * Q + f,

    x.q  =  scale * step * (code.Q) + scale * code.f + e.q,

and the last two are at most reach * |f| and slack * |q|, where reach and slack are the largest |scale * code| and |e|
of the block. The grid is fixed: `scale`, `slack` and `reach` are rounded up to few digits, so that they do not tell of
any one row.
"""

from __future__ import annotations

import math
import time
from collections import defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, Protocol, TypeVar

import numkong
import numpy as np
import numpy.typing as npt

from resight.core.records import FloatArray, IntArray
from resight.gallery.search.columns import Columns, Doubles, Zones

Codes = npt.NDArray[np.int8]
T = TypeVar("T", float, Doubles)
AT_ONCE = 8192  # rows that are quantized at a time
WORTH_TRYING = 8192  # rows
TRIED_AGAIN = 64  # times between two trials of a way that is not the fastest
FEW_QUERIES = 8  # by which BLAS is not faster than NumKong
READ_AHEAD = 1 << 20  # bytes, less than a core's cache holds
CACHE_LINE = 64  # bytes
DIGITS = 4  # binary digits of a scale and of a bound: scale * code is then exact in float32


class Vectors(Protocol):
    """Embeddings that are read by their place in a block."""

    def __getitem__(self, rows: IntArray, /) -> FloatArray: ...


class Queries:
    """Queries (q, dim) float32, quantized and packed once for all blocks."""

    def __init__(self, rows: FloatArray) -> None:
        self.rows = np.ascontiguousarray(rows)
        self.among = 0  # how many rows they are compared with
        self._packed: dict[int, Any] = {}
        self.lines: dict[tuple[float, float, float], tuple[Doubles, Doubles]] = {}  # of blocks, most of which are alike

    @cached_property
    def exact(self) -> Doubles:
        """(q, dim)"""
        return self.rows.astype(np.float64)

    @cached_property
    def lengths(self) -> Doubles:
        """(q,)"""
        lengths: Doubles = np.sqrt(np.einsum("ij,ij->i", self.exact, self.exact))
        return lengths

    @cached_property
    def quantized(self) -> tuple[Doubles, Codes, Doubles]:
        """step (q,), codes (q, dim), and slack (q,), the length of what the codes leave out."""
        step = np.abs(self.exact).max(axis=1) / 127
        if not step.all():
            step[step == 0] = 1.0
        near = np.rint(self.exact / step[:, None])
        left = self.exact - near * step[:, None]
        return step, near.astype(np.int8), np.sqrt(np.einsum("ij,ij->i", left, left))

    @cached_property
    def ways(self) -> tuple[Way, ...]:
        """How the kernel can be given rows: it makes four sums at a time, and some would be of nothing with fewer than
        four queries. The first one suits few rows."""
        most = 4 // len(self.rows)
        if most < 2:
            return (Way(1, False),)
        return tuple(dict.fromkeys((Way(most, True), Way(1, False), Way(2, False), Way(most, False))))

    @property
    def pace(self) -> Pace:
        """How fast each way is in this process, of all queries so many and so long, among about so many rows."""
        return _paces[len(self.rows), self.rows.shape[1], self.among.bit_length()]

    def packed(self, beside: int) -> Any:
        """The codes as the kernel wants them, for `beside` rows one after the other: (beside * q, beside * dim), each
        query once in each row's place."""
        if beside not in self._packed:
            num, dim = self.rows.shape
            wide = np.zeros((beside, num, beside, dim), np.int8)
            for place in range(beside):
                wide[place, :, place] = self.quantized[1]
            self._packed[beside] = numkong.dots_pack(wide.reshape(beside * num, beside * dim))
        return self._packed[beside]


class Way(NamedTuple):
    """beside: how many rows that lie one after the other are taken as one. ahead: a part is read before the kernel
    reads it, which may wait for memory where a plain reading does not."""

    beside: int
    ahead: bool


class Pace:
    """Which way is the fastest for queries like these: it depends on the processor, its cache and the dimension, so all
    are tried on the work itself, three times each, and again now and then. All give the same scores."""

    def __init__(self) -> None:
        self._spent: defaultdict[Way, deque[float]] = defaultdict(lambda: deque(maxlen=8))
        self._turn = 0

    def choice(self, ways: Sequence[Way]) -> Way:
        """One of them, of which there are always the same ones."""
        self._turn += 1
        if self._turn % TRIED_AGAIN == 0:
            return ways[self._turn // TRIED_AGAIN % len(ways)]
        return min(ways, key=lambda way: min(self._spent[way]) if len(self._spent[way]) > 2 else 0.0)

    def tell(self, way: Way, seconds_a_row: float) -> None:
        """How long it took. Threads may tell at once."""
        self._spent[way].append(seconds_a_row)


_paces: defaultdict[tuple[int, int, int], Pace] = defaultdict(Pace)


def _scores(codes: Codes, queries: Queries, way: Way) -> npt.NDArray[np.int32]:
    """(m, q)"""
    beside, ahead = way
    num, dim = codes.shape
    even = num - num % beside
    if not even:
        return np.asarray(numkong.dots_packed(codes, queries.packed(1)))
    wide = codes[:even].reshape(even // beside, beside * dim)
    packed = queries.packed(beside)
    if ahead:
        out = numkong.empty((len(wide), beside * len(queries.rows)), dtype="int32")
        step = max(1, READ_AHEAD // (beside * dim))
        for start in range(0, len(wide), step):
            stop = min(start + step, len(wide))
            np.bitwise_or.reduce(wide[start:stop].ravel())
            numkong.dots_packed(wide, packed, out=out, start_row=start, end_row=stop)
    else:
        out = numkong.dots_packed(wide, packed)
    scores = np.asarray(out).reshape(even, len(queries.rows))
    if even == num:
        return scores
    return np.concatenate([scores, np.asarray(numkong.dots_packed(codes[even:], queries.packed(1)))])


@dataclass(eq=False)
class Block:
    """Rows with their int8 codes. codes: (n, dim). vectors: the rows themselves, wherever they are kept."""

    codes: Codes
    columns: Columns
    scale: float
    slack: float
    reach: float
    vectors: Vectors

    @classmethod
    def of(cls, vectors: FloatArray, columns: Columns) -> Block:
        """Quantizes rows (n, dim), and keeps them."""
        scale = scale_of(vectors)
        codes, slack, reach = _at_a_line(vectors.shape), 0.0, 0.0
        for start in range(0, len(vectors), AT_ONCE):
            part = slice(start, start + AT_ONCE)
            codes[part], left, length = quantized(vectors[part], scale)
            slack, reach = max(slack, float(left.max())), max(reach, float(length.max()))
        return cls(codes, columns, scale, rounded_up(slack), rounded_up(reach), vectors)

    def __len__(self) -> int:
        return len(self.codes)

    @property
    def longest(self) -> float:
        """No row is longer."""
        return self.reach + self.slack

    @cached_property
    def zones(self) -> Zones:
        """What its columns hold, some thousand rows at a time."""
        return Zones.of(self.columns)

    def scores(self, queries: Queries, rows: IntArray | slice) -> npt.NDArray[np.int32]:
        """(m, q) int32, code.Q, of some rows."""
        codes = self.codes[rows]
        if len(queries.ways) == 1 or len(codes) < WORTH_TRYING:
            return _scores(codes, queries, queries.ways[0])
        pace = queries.pace
        way, began = pace.choice(queries.ways), time.perf_counter()
        scores = _scores(codes, queries, way)
        pace.tell(way, (time.perf_counter() - began) / len(codes))
        return scores

    def line(self, queries: Queries) -> tuple[Doubles, Doubles]:
        """slope and bound, each (q,): an exact similarity is within `bound` of slope * score."""
        kept = queries.lines.get((self.scale, self.slack, self.reach))
        if kept is None:
            step, _, slack = queries.quantized
            bound = self.slack * queries.lengths + self.reach * slack
            kept = self.scale * step, bound * (1 + 1e-9) + 1e-12
            queries.lines[self.scale, self.slack, self.reach] = kept
        return kept


class Tail:
    """The newest rows, not yet a block: kept and compared as float32 only."""

    def __init__(self, dim: int) -> None:
        self._rows = np.empty((256, dim), np.float32)
        self.columns = Columns.joined([])
        self.longest = 0.0

    def __len__(self) -> int:
        return len(self.columns)

    @property
    def vectors(self) -> FloatArray:
        """(n, dim) float32."""
        return self._rows[: len(self)]

    @property
    def nbytes(self) -> int:
        """Of the rows, and of the room for more."""
        return self._rows.nbytes

    def append(self, vectors: FloatArray, columns: Columns) -> None:
        """Appends rows; the capacity doubles when it is used up."""
        num, more = len(self), len(vectors)
        if num + more > len(self._rows):
            grown = np.empty((max(num + more, 2 * len(self._rows)), self._rows.shape[1]), np.float32)
            grown[:num] = self._rows[:num]
            self._rows = grown
        self._rows[num : num + more] = vectors
        self.columns = Columns.joined([self.columns, columns])
        self.longest = max(self.longest, float(lengths_of(vectors).max(initial=0.0)))

    def scores(self, queries: Queries, rows: IntArray | slice) -> FloatArray | Doubles:
        """(m, q) float32 or, of few queries, float64. Of few queries not by BLAS, whose threads go on spinning after a
        product, on the cores that blocks are compared by."""
        num, vectors = len(queries.rows), self.vectors[rows]
        out: FloatArray
        if num == 1:
            out = np.einsum("ij,kj->ik", vectors, queries.rows)
            return out
        if num <= FEW_QUERIES:
            return np.asarray(numkong.dots_packed(vectors, numkong.dots_pack(queries.rows)))
        out = vectors @ queries.rows.T
        return out

    def line(self, queries: Queries) -> tuple[Doubles, Doubles]:
        """As Block.line."""
        num, dim = queries.rows.shape
        return np.ones(num), float32_error(dim, self.longest * queries.lengths)


def _at_a_line(shape: tuple[int, int]) -> Codes:
    """Room for codes that begins where a line of the processor's cache does, as codes in a file do."""
    size = shape[0] * shape[1]
    room = np.empty(size + CACHE_LINE, np.int8)
    first = -room.ctypes.data % CACHE_LINE
    return room[first : first + size].reshape(shape)


def float32_error(dim: int, lengths: T) -> T:
    """By how much a float32 dot product can be off, which is dim * 2^-24 of the product of both lengths (Higham, 2002,
    3.1), and as much again."""
    return lengths * ((dim + 2) * 2.0**-23) + 1e-30


def scale_of(vectors: FloatArray, margin: float = 1.0) -> float:
    """The width of a grid of 8 bits for rows (n, dim). margin: by how much others may be larger."""
    largest = max(
        (float(np.abs(vectors[start : start + AT_ONCE]).max()) for start in range(0, len(vectors), AT_ONCE)),
        default=0.0,
    )
    return rounded_up(margin * largest / 127) or 1.0


def quantized(vectors: FloatArray, scale: float) -> tuple[Codes, Doubles, Doubles]:
    """Codes (n, dim), and for each row bounds from above on the length of what they leave out and on scale * |code|.

    vectors: (n, dim) float32. scale: of `scale_of`, for any rows: what is larger is cut off.
    """
    code = np.rint(vectors * np.float32(1 / scale)).clip(-127, 127)
    near = code * np.float32(scale)  # exact: 7 digits by DIGITS
    # float32 rounds the residual once, and the sum of squares by less than this.
    more = 1 + (vectors.shape[1] + 8) * 2.0**-23
    return code.astype(np.int8), lengths_of(vectors - near) * more, lengths_of(near) * more


def lengths_of(rows: FloatArray) -> Doubles:
    """(n,), to float32's precision."""
    lengths: Doubles = np.sqrt(np.einsum("ij,ij->i", rows, rows).astype(np.float64))
    lengths *= 1 + rows.shape[1] * 2.0**-23
    return lengths + 1e-18


def rounded_up(value: float) -> float:
    """The next number of DIGITS binary digits."""
    if value <= 0:
        return 0.0
    fraction, exponent = math.frexp(value)
    return math.ldexp(math.ceil(math.ldexp(fraction, DIGITS)), exponent - DIGITS)
