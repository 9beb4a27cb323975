"""A gallery into a file of lines of JSON, and back: whole, or said not to be."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path

from resight.core.errors import DataError, GalleryError
from resight.core.files import written_whole
from resight.gallery.engines import open_store
from resight.gallery.gallery import Gallery
from resight.gallery.people import root_of
from resight.gallery.records import Added
from resight.gallery.siting import copy_site
from resight.gallery.store import Store, without_password
from resight.gallery.transfer.lines import Body, Header, header_line, header_of, line_of, rows_of_lines
from resight.gallery.transfer.origins import origins_of
from resight.gallery.transfer.placing import copy_cannot_links
from resight.gallery.transfer.rows import Row

DIGITS = 18  # of a count: room for one is left in the first line, and filled when the entries are counted


def export(gallery: Gallery, path: Path) -> int:
    """Writes settings, links and who made them, cannot-links, the site transform and entries, but not the audit; the
    number of entries.

    A kill or a full disk leaves no file of this name, or the one that was there.

    Raises GalleryError if the gallery fails, OSError if the file cannot be written.
    """
    links, apart, site, count = gallery.links(), gallery.cannot_links(), gallery.site.transform, 0
    origins = origins_of(gallery.audit(actions=["link"])) if links else {}
    room = len(header_line(gallery.settings, links, 10**DIGITS, apart, site, origins))
    with written_whole(path, private=True) as file:
        file.write(b" " * room + b"\n")
        for entry in gallery.entries():
            file.write(line_of(entry, gallery.settings.model).encode() + b"\n")
            count += 1
        file.seek(0)
        file.write(header_line(gallery.settings, links, count, apart, site, origins).ljust(room).encode())
    return count


def restore(uri: str, lines: Iterator[str | bytes], source: str, *, strict: bool = False) -> Iterator[Added]:
    """Makes a gallery of an export's lines, and yields what became of each batch once it is committed: iterate over it.

    Until it has all entries and links, the gallery is marked as incomplete. The same lines again then go on. source:
    what the lines are from. strict: raises the first error instead of leaving rows out.

    Raises DataError if the first line is none of an export, or fewer entries come than it says; GalleryError if there
    is another gallery at `uri`, or the store fails.
    """
    header = header_of(next(lines, ""), source)
    body = Body(lines, header)
    rows = rows_of_lines(body, source, first=2)
    bad: list[DataError] = []
    first = next(rows, None)
    while isinstance(first, DataError):  # no gallery is created if there is nothing for it
        if strict:
            raise first
        bad.append(first)
        first = next(rows, None)
    if bad:
        yield Added((), tuple(map(str, bad)))
    if first is None and (bad or body.is_short(0)):
        raise DataError(f"{source}: not one row could be added")
    rows = chain([] if first is None else [first], rows)
    yield from _restored(uri, header, body, rows, source, strict, len(bad))


def _restored(
    uri: str,
    header: Header,
    body: Body[str | bytes],
    rows: Iterable[Row | DataError],
    source: str,
    strict: bool,
    read: int,
) -> Iterator[Added]:
    store, going_on = _opened(uri, header)
    with Gallery(store) as gallery:
        for added in gallery.add_rows(rows, strict=strict, keep_ids=True, going_on=going_on):
            read += len(added.ids) + len(added.there) + len(added.left_out)
            yield added
        if body.is_short(read):
            of = f"of {body.entries:,} entries" if body.entries is not None else "entries, and not its last line"
            raise DataError(
                f"{source} was cut short: it has {read:,} {of}. {without_password(uri)} stays "
                "marked as incomplete: import a whole copy of the export into it by the same command, or remove it"
            )
        links = dict(store.linked())
        for (pid, into), made in zip(header.links, header.origins, strict=True):
            if root_of(pid, links) != root_of(into, links):
                store.link(pid, into, gallery.who, made.purpose, made.detail("import"))
                links[root_of(pid, links)] = root_of(into, links)
        copy_cannot_links(header.apart, gallery)
        if header.site is not None:
            copy_site(header.site, gallery)
        store.set_unfinished("")
        missing = (body.entries or 0) - len(gallery)
        if missing > 0:
            raise DataError(f"{missing:,} of {body.entries:,} entries could not be imported, as said above")


def _opened(uri: str, header: Header) -> tuple[Store, bool]:
    """A new gallery, marked as incomplete; or one that an import of the same export left so, and True."""
    try:
        store = open_store(uri, header.settings, new=True)
    except GalleryError as error:
        try:
            store = open_store(uri, None)
        except GalleryError:
            raise error from None
        unfinished, empty = store.unfinished(), store.settings == header.settings and not store.count()
        if unfinished == header.mark or (empty and not unfinished):  # killed before it was marked
            store.set_unfinished(header.mark)
            return store, True
        store.close()
        if unfinished:
            raise GalleryError(
                f"{without_password(uri)} is of another import or migration, which has not ended"
            ) from None
        raise
    store.set_unfinished(header.mark)
    return store, False
