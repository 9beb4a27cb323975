"""Listing, bounds on cameras and cannot-links: the same on every engine."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from PIL import Image

from resight import open_gallery
from resight.core.errors import ConfigError, GalleryError, UnreadableImage
from resight.gallery.curation import remaining
from resight.gallery.migrate import migrate
from resight.gallery.records import Link
from resight.gallery.transfer.exporting import export, restore
from resight.gallery.transfer.lines import rows_of_lines
from tests.gallery.helpers import MODEL, pictures, unit
from tests.gallery.test_contract import Open, filled, open_store

__all__ = ["open_store"]


def test_pages_lose_and_repeat_nothing_whatever_happens_between(open_store: Open) -> None:
    gallery, _ = filled(open_store)
    seen, last = list[int](), 0
    while part := gallery.page(last, 7, camera="north"):
        assert len(part) <= 7
        assert all(entry.crop is None for entry in part)
        seen += [entry.id for entry in part]
        last = seen[-1]
        gallery.forget(id=seen[0])  # of those that were listed already
    assert seen == list(range(1, 41, 2))
    assert gallery.entry(2) is not None
    assert gallery.entry(1) is None


def test_people_are_counted_with_links(open_store: Open) -> None:
    gallery, _ = filled(open_store)
    people = gallery.people()
    assert [person.pid for person in people] == list(range(10))
    third = people[3]
    assert (third.entries, third.cameras, third.first, third.last, third.example) == (
        4,
        {"north": 2, "south": 2},
        12.0,
        15.0,
        13,
    )
    number = gallery.link(3, 8)
    assert [person.pid for person in gallery.people(after=5, limit=3)] == [6, 7, 8]
    merged = gallery.person(3)
    assert merged == gallery.person(8)
    assert merged is not None
    assert (merged.pids, merged.entries, merged.first, merged.last) == ((3, 8), 8, 12.0, 35.0)
    gallery.unlink(number)
    assert gallery.people() == people
    gallery.add(pictures(unit(1, 3)), camera="west", person="bob")
    assert [person.name for person in gallery.people(after=9)] == ["bob"]
    assert gallery.person(77) is None


def test_who_is_kept_apart_cannot_be_linked(open_store: Open) -> None:
    gallery, _ = filled(open_store)
    gallery.link(1, 2)
    number = gallery.cannot_link(3, 1)
    for pid, into in ((1, 3), (3, 2), (2, 3)):  # whichever of the linked ones
        with pytest.raises(GalleryError, match=f"cannot-link {number}"):
            gallery.link(pid, into)
    with pytest.raises(GalleryError, match="kept apart"):
        gallery.cannot_link(2, 3)
    with pytest.raises(GalleryError, match="one person here"):
        gallery.cannot_link(1, 2)
    assert open_store().cannot_links() == gallery.cannot_links()
    gallery.allow_link(number)
    with pytest.raises(GalleryError, match="no cannot-link"):
        gallery.allow_link(number)
    gallery.link(1, 3)
    actions = [(line.action, dict(line.detail)) for line in gallery.audit()]
    assert [each for each in actions if "cannot" in each[0] or "allow" in each[0]] == [
        ("cannot-link", {"cannot_link": number}),
        ("allow-link", {"cannot_link": number}),
    ]


def test_cannot_links_go_with_the_forgotten_and_with_a_copy(open_store: Open, tmp_path: Path) -> None:
    gallery, _ = filled(open_store)
    first = gallery.cannot_link(1, 2)
    second = gallery.cannot_link(4, 5)
    export(gallery, tmp_path / "all.jsonl")
    lines = (tmp_path / "all.jsonl").read_bytes().splitlines()
    list(restore(str(tmp_path / "again.db"), iter(lines), "all.jsonl"))
    with open_gallery(tmp_path / "again.db") as again:
        assert [(pair.pid, pair.other) for pair in again.cannot_links()] == [(1, 2), (4, 5)]
    with open_gallery(tmp_path / "copy.db", MODEL) as copied:
        migrate(gallery, copied)
        migrate(gallery, copied)
        assert [(pair.pid, pair.other) for pair in copied.cannot_links()] == [(1, 2), (4, 5)]
    gallery.forget(pid=2)
    assert [pair.number for pair in gallery.cannot_links()] == [second]
    assert gallery.cannot_link(1, 6) > max(first, second)  # a number is never given again


def test_a_bounded_opening_is_of_its_cameras_alone(open_store: Open) -> None:
    gallery, rows = filled(open_store)
    north = gallery.within(["north"], who="night shift", purpose="rounds")
    assert len(north) == 20
    assert {match.camera for match in north.search(rows[1].tobytes(), None)} == {"north"}
    assert not north.search(rows[1].tobytes(), camera="south").matches
    assert {entry.camera for entry in north.entries()} == {"north"}
    assert north.page(filter=None, ids=[2, 4]) == []
    assert north.entry(2) is None
    assert [person.cameras for person in north.people(limit=1)] == [{"north": 2}]
    assert len(north.within(["south", "north"])) == 20  # no way out
    with pytest.raises(ConfigError, match="bounded"):
        north.add(pictures(unit(1, 4)), camera="south")
    for act in (north.stats, north.compact, lambda: list(north.audit()), lambda: list(north.verify())):
        with pytest.raises(ConfigError, match="whole gallery"):
            act()
    for correct in (north.link, north.cannot_link):
        with pytest.raises(ConfigError, match="cameras alone"):
            correct(1, 2)
    north.add(pictures(unit(2, 4)), camera="north", pid=[100, 101])
    north.unlink(north.link(100, 101))
    with pytest.raises(ConfigError, match="say what"):
        north.forget()
    assert north.forget(pid=1).entries == 2
    assert len(gallery) == 40
    assert [entry.camera for entry in gallery.entries(pid=1)] == ["south"] * 2
    last = list(gallery.audit())[-1]
    assert (last.who, last.purpose) == ("night shift", "rounds")


def test_pictures_are_small_upright_and_say_nothing_of_their_origin(open_store: Open) -> None:
    gallery = open_store(keep_crops=True)
    wide = Image.new("RGB", (400, 200))
    wide.paste((255, 0, 0), (0, 0, 200, 200))
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "maker"  # to be turned by 90 degrees; who made the camera
    out = io.BytesIO()
    wide.save(out, "JPEG", exif=exif, quality=95)
    ids = gallery.add_embeddings(
        unit(2), model=MODEL.identity, camera="north", crops=[out.getvalue(), b"no picture at all"]
    )
    small = gallery.picture(ids[0])
    assert small is not None
    picture = Image.open(io.BytesIO(small))
    assert (picture.size, picture.format, dict(picture.getexif())) == ((128, 256), "JPEG", {})
    top = picture.convert("RGB").getpixel((64, 40))
    assert isinstance(top, tuple)
    assert top[0] > 200
    with pytest.raises(UnreadableImage):
        gallery.picture(ids[1])
    assert gallery.within(["south"]).picture(ids[0]) is None


def test_who_remains_of_linked_people_stays_one_person(open_store: Open) -> None:
    gallery, rows = filled(open_store)
    other = open_store()
    numbers = [gallery.link(3, 0), gallery.link(2, 0), gallery.link(1, 0), gallery.link(0, 5)]
    for pid, other_pid in ((5, 9), (3, 8), (0, 7)):
        gallery.cannot_link(pid, other_pid)
    assert other.search(rows[0].tobytes()).num_people == 6

    def forget(pid: int) -> None:
        """Every entry of one pid, and of none that is linked with it."""
        gallery.forget(ids=[4 * pid + place for place in (1, 2, 3, 4)])

    def links() -> list[tuple[int, int, int]]:
        assert gallery.links() == other.links()
        return [(link.number, link.pid, link.into) for link in gallery.links()]

    def apart() -> list[tuple[int, int, int]]:
        return [(pair.number, pair.pid, pair.other) for pair in other.cannot_links()]

    forget(0)  # whom others were linked into, and who was linked
    assert links() == [(numbers[0], 3, 5), (numbers[1], 2, 5), (numbers[2], 1, 5)]
    assert apart() == [(1, 5, 9), (2, 3, 8), (3, 5, 7)]
    forget(5)  # as whom all were reported
    assert links() == [(numbers[0], 3, 1), (numbers[1], 2, 1)]
    assert apart() == [(1, 1, 9), (2, 3, 8), (3, 1, 7)]
    assert [person.pids for person in other.people(limit=2)] == [(1, 2, 3), (4,)]
    for opening in (gallery, other):
        assert opening.search(rows[0].tobytes()).num_people == 6
    with pytest.raises(GalleryError, match="cannot-link 1"):
        gallery.link(9, 2)
    forget(3)
    assert links() == [(numbers[1], 2, 1)]
    assert apart() == [(1, 1, 9), (2, 1, 8), (3, 1, 7)]
    gallery.unlink(numbers[1])
    forget(1)
    assert (links(), apart()) == ([], [])
    gone = [line.detail for line in gallery.audit(actions=["forget"])]
    assert gone == [{"entries": 4, "by": "ids"}] * 4


def test_links_that_a_deletion_leads_elsewhere_are_noticed(open_store: Open) -> None:
    """As many as before, and none of a higher number."""
    gallery, _ = filled(open_store)
    other = open_store()
    gallery.link(1, 3)
    assert [entry.pid for entry in other.page(pids=[1])] == [1] * 4 + [3] * 4
    gallery.link(3, 5)
    gallery.forget(ids=[13, 14, 15, 16])
    assert [entry.pid for entry in other.page(pids=[1])] == [1] * 4 + [5] * 4


def test_a_number_without_entries_is_nobodys_heir() -> None:
    """Links of video lead to numbers that no entry has."""
    links = [Link(1, 10, 7), Link(2, 11, 7), Link(3, 12, 8), Link(4, 8, 9)]
    some = remaining.without(links, {10}, lambda pids: {11, 12} & set(pids))
    assert ([link.number for link in some.removed], some.changed, some.heirs) == ([1], (), {10: 7})
    last = remaining.without(links, {12}, lambda pids: {10, 11} & set(pids))
    assert ([link.number for link in last.removed], last.changed, last.heirs) == ([3], (), {})
    assert remaining.without(links, {77}, set) == remaining.NOTHING
    chain = [Link(1, 4, 5), Link(2, 3, 5), Link(3, 5, 6), Link(4, 6, 2)]
    mended = remaining.without(chain, {5, 6, 2}, lambda pids: {4} & set(pids))
    assert mended.changed == (Link(2, 3, 4),)
    assert sorted(link.number for link in mended.removed) == [1, 3, 4]
    assert mended.heirs == {5: 4, 6: 4, 2: 4}


@pytest.mark.parametrize("number", [-5, 2**53, 2**63 - 1])
def test_ids_that_leave_no_room_are_refused(tmp_path: Path, number: int) -> None:
    with open_gallery(tmp_path / "site.db", MODEL) as gallery:
        with pytest.raises(ConfigError, match="from 1 to 9007199254740991"):
            gallery.add_embeddings(unit(2), model=MODEL.identity, camera="north", ids=[1, number])
        assert len(gallery) == 0
        line = {"id": number, "camera": "north", "embedding": unit(1)[0].tolist(), "model": MODEL.identity}
        (added,) = gallery.add_rows(rows_of_lines([json.dumps(line)], "export"), keep_ids=True)
        assert "from 1 to 9007199254740991" in added.left_out[0]
        assert gallery.add_embeddings(unit(1), model=MODEL.identity, camera="north", ids=[2**53 - 1]) == [2**53 - 1]
        assert gallery.add(pictures(unit(1, seed=1)), camera="north") == [2**53]
        assert len(gallery.search(unit(1)[0].tobytes())) == 2


def test_names_of_the_forgotten_leave_the_memory(open_store: Open) -> None:
    with open_store(MODEL) as gallery:
        view = gallery.within(("a",))
        gallery.add_embeddings(unit(3), model=MODEL.identity, camera="a", person=["Ada", "Ada", "Bob"])
        assert set(gallery._names.values()) == {"Ada", "Bob"}
        view.forget(people="Ada")
        gallery.add_embeddings(unit(2), model=MODEL.identity, camera="a", person="Bob")
        assert set(gallery._names.values()) == {"Bob"}
