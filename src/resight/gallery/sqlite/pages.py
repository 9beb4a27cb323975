"""The pages of a database's file: what stands in them beside what is stored is overwritten with zeros, in place.

With `secure_delete`, SQLite overwrites what is deleted. But where it moves records to another page, when a page is full
or nearly empty, it leaves a copy in the gap between the page's list of records and the first of them (`rebuildPage` in
its btree.c). Deleted later, they are overwritten where they then are, and not there. So the gaps are overwritten here.

The format: https://www.sqlite.org/fileformat2.html, 1.3 and 1.6.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from resight.core.cores import available_cores
from resight.gallery.sqlite.searching import Signs

READ_AT_ONCE = 1 << 22
# The first byte of a page that holds no records is the highest one of a page's number, or 0; of one that holds some,
# one of LIST_AT. So in a file of fewer pages than this the first byte tells them apart.
MOST_PAGES = 2 << 24
LIST_AT = {2: 12, 5: 12, 10: 8, 13: 8}  # where the list of records begins, by a page's first byte
Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Swept:
    """What became of a file. found: the signs that it holds. wiped: how many pages were overwritten in part. damaged:
    the numbers of pages that contradict themselves, and were left as they are."""

    found: frozenset[bytes]
    wiped: int
    damaged: tuple[int, ...]


def page_size(file: int) -> int | None:
    """The size of the pages of an open file; None if its pages cannot be told apart by their first bytes."""
    head = os.pread(file, 100, 0)
    if len(head) < 100:
        return None
    size = int.from_bytes(head[16:18], "big")
    size = 65_536 if size == 1 else size
    plain = head[20] == 0 and head[52:56] == bytes(4)  # nothing is reserved in a page, and there are no pointer maps
    told = size >= 512 and not size & (size - 1) and os.fstat(file).st_size // size < MOST_PAGES
    return size if plain and told else None


def sweep(file: int, size: int, signs: Signs) -> Swept:
    """Overwrites the gaps of all pages, and looks for the signs, each within a page. For a file to which nobody else
    writes meanwhile.

    size: of `page_size`. Only what is not zero already is written. Raises OSError.
    """
    cores = available_cores()
    pages = os.fstat(file).st_size // size
    parts = [range(start, pages, READ_AT_ONCE // size * cores) for start in range(0, pages, READ_AT_ONCE // size)][
        :cores
    ]
    with ThreadPoolExecutor(cores, thread_name_prefix="sweep") as pool:
        swept = list(pool.map(lambda starts: _sweep(file, size, signs, starts, pages), parts))
    os.fsync(file)
    return Swept(
        frozenset[bytes]().union(*(part.found for part in swept)),
        sum(part.wiped for part in swept),
        tuple(sorted(number for part in swept for number in part.damaged)),
    )


def _sweep(file: int, size: int, signs: Signs, starts: range, end: int) -> Swept:
    """Of the pieces that begin at these pages."""
    found, damaged, wiped = set[bytes](), list[int](), 0
    buffer = np.empty((READ_AT_ONCE // size, size), np.uint8)
    for start in starts:
        pages = buffer[: os.preadv(file, [buffer[: end - start].data], start * size) // size]
        skip = int(start == 0)  # the first page has the schema, and another header
        for row in _with_leftovers(pages[skip:]) + skip:
            gap = _gap(pages[row])
            if gap is None:
                damaged.append(start + int(row) + 1)
                continue
            pages[row, gap] = 0
            os.pwrite(file, bytes(gap.stop - gap.start), (start + int(row)) * size + gap.start)
            wiped += 1
        found |= signs.within(pages.reshape(-1).data)
    return Swept(frozenset(found), wiped, tuple(damaged))


def _with_leftovers(pages: Bytes) -> npt.NDArray[np.int64]:
    """Which of the pages (n, size) hold records and, in the gap before them, anything but zeros; and which contradict
    themselves."""
    size = pages.shape[1]
    starts_at = np.zeros(256, np.int64)
    starts_at[list(LIST_AT)] = list(LIST_AT.values())
    heads = pages[:, :8].astype(np.int64)
    first = starts_at[heads[:, 0]]
    start = first + 2 * (heads[:, 3] * 256 + heads[:, 4])
    end = heads[:, 5] * 256 + heads[:, 6]
    end[end == 0] = 65_536
    holds = first > 0
    wrong = holds & ((start > end) | (end > size))
    start, end = np.where(holds & ~wrong, start, 0), np.where(holds & ~wrong, end, 0)
    # Whole words first, then the bytes of the gap before and after them.
    words, row = pages.view("<u8").reshape(-1), np.arange(len(pages)) * (size // 8)
    bounds = np.stack([row + (start + 7) // 8, row + end // 8], axis=1)
    whole = bounds[:, 1] > bounds[:, 0]
    dirty = np.zeros(len(pages), np.bool_)
    if whole.any():  # the last word of all is one of the bytes after them
        between = np.minimum(bounds[whole].reshape(-1), len(words) - 1)
        dirty[whole] = np.bitwise_or.reduceat(words, between)[::2] != 0
    for edge in (start[:, None] + np.arange(8), end[:, None] - 1 - np.arange(8)):
        inside = (edge >= start[:, None]) & (edge < end[:, None])
        dirty |= (np.take_along_axis(pages, np.where(inside, edge, 0), axis=1).astype(np.bool_) & inside).any(axis=1)
    return np.flatnonzero(dirty | wrong)


def _gap(page: Bytes) -> slice | None:
    """Where the gap of a page with records is; None if the page contradicts itself."""
    head = page[:8].tolist()
    first, records = LIST_AT[head[0]], head[3] * 256 + head[4]
    start, end = first + 2 * records, (head[5] * 256 + head[6]) or 65_536
    if start > end or end > len(page):
        return None
    places = page[first:start].astype(np.int64).reshape(records, 2) @ [256, 1]
    if records and int(places.min()) < end:
        return None
    return slice(start, end)
