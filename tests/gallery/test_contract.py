"""What every store does: the same tests, whatever the engine."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest

from resight import Gallery, open_gallery
from resight.core.errors import ConfigError, EmbeddingError, GalleryError
from resight.gallery.people import pid_of_name
from tests.gallery.helpers import CALIBRATED, DIM, MODEL, EightValues, pictures, unit

Open = Callable[..., Gallery]


ENGINES = {  # where each engine keeps a gallery of its own for a test: a fixture's address, and a name
    "sqlite": lambda fixture, folder: str(folder / "site.db"),
    "postgres": lambda fixture, folder: f"{fixture('postgres')}g{abs(hash(folder))}",
    "milvus": lambda fixture, folder: f"{fixture('milvus')}g{abs(hash(folder))}",
    "milvus-server": lambda fixture, folder: f"{fixture('milvus_server').address}g{abs(hash(folder))}",
}
SLOW = {"milvus-server"}  # 3 s for each collection that it makes


@pytest.fixture(params=[pytest.param(name, marks=[pytest.mark.slow] * (name in SLOW)) for name in ENGINES])
def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Open]:
    """Opens the same gallery as often as it is called."""
    opened: list[Gallery] = []
    uri = ENGINES[request.param](request.getfixturevalue, tmp_path)

    def open_again(model: Any = MODEL, **options: Any) -> Gallery:
        opened.append(open_gallery(uri, model, **options))
        return opened[-1]

    yield open_again
    for gallery in opened:
        gallery.close()


def filled(open_store: Open, **options: Any) -> tuple[Gallery, Any]:
    """40 entries: two cameras, ten people, tracks of two, times of a second each."""
    rows = unit(40)
    gallery = open_store(**options)
    gallery.add(
        pictures(rows),
        camera=["north", "south"] * 20,
        time=[float(number) for number in range(40)],
        track=[f"t{number // 2}" for number in range(40)],
        pid=[number // 4 for number in range(40)],
        attributes={"bag": True},
    )
    return gallery, rows


def test_what_is_added_is_found_by_every_opening(open_store: Open) -> None:
    gallery, rows = filled(open_store)
    other = open_store()
    answer = other.search(rows[7].tobytes(), top_k=5)
    assert answer[0].id == 8
    assert answer[0].similarity == pytest.approx(1)
    expected = np.argsort(-(rows.astype(np.float64) @ rows[7]), kind="stable")[:5] + 1
    assert [match.id for match in answer] == expected.tolist()
    first = answer[0]
    assert (first.camera, first.time, first.track, first.pid) == ("south", 7.0, "t3", 1)
    assert first.entry.attributes == {"bag": True}
    new = unit(1, seed=5)
    gallery.add(pictures(new), camera="west")
    assert other.search(new[0].tobytes(), top_k=1)[0].camera == "west"  # at once, in the other opening too
    assert len(other) == 41


@pytest.mark.parametrize(
    ("asked", "meant"),
    [
        ({"camera": "north"}, lambda n: n % 2 == 0),
        ({"cameras": ["north", "nowhere"]}, lambda n: n % 2 == 0),
        ({"exclude_camera": "north"}, lambda n: n % 2 == 1),
        ({"after": 10.0, "before": 20.0}, lambda n: 10 <= n < 20),
        ({"before": datetime(1970, 1, 1, 0, 0, 5, tzinfo=UTC)}, lambda n: n < 5),
        ({"track": "t3"}, lambda n: n // 2 == 3),
        ({"exclude_track": "t3"}, lambda n: n // 2 != 3),
        ({"pids": [1, 2]}, lambda n: n // 4 in (1, 2)),
        ({"exclude_pid": 1, "camera": "south"}, lambda n: n // 4 != 1 and n % 2 == 1),
        ({"attributes": {"bag": True}}, lambda n: True),
        ({"attributes": {"bag": False}}, lambda n: False),
        ({"attributes": {"hat": True}}, lambda n: False),
        ({"ids": [1, 3, 99]}, lambda n: n in (0, 2)),
        ({"camera": "nowhere"}, lambda n: False),
    ],
)
def test_filters_say_who_may_answer(open_store: Open, asked: Any, meant: Callable[[int], bool]) -> None:
    gallery, rows = filled(open_store)
    expected = {number + 1 for number in range(40) if meant(number)}
    answer = gallery.search(rows[0].tobytes(), None, **asked)
    assert {match.id for match in answer} == expected
    assert {entry.id for entry in gallery.entries(**asked)} == expected
    people = len({(number - 1) // 4 for number in expected})
    assert answer.num_people == people


def test_a_range_search_takes_all_that_are_near_enough(open_store: Open) -> None:
    gallery, rows = filled(open_store)
    answer = gallery.search(rows[3].tobytes(), None, min_similarity=0.4)
    assert {match.id - 1 for match in answer} == set(np.flatnonzero(rows.astype(np.float64) @ rows[3] >= 0.4).tolist())


def test_decisions_take_the_number_of_people_into_account(open_store: Open) -> None:
    gallery, rows = filled(lambda **options: open_store(CALIBRATED, **options))
    answer = gallery.search(rows[0].tobytes(), top_k=40)
    assert answer.verdict == "known as 0"
    assert answer.decision is not None
    assert answer.decision.rate is not None
    assert answer.num_people == 10
    verdicts = {match.verdict.split(" as ")[0] for match in answer}
    assert verdicts == {"known", "unsure", "nobody we know"}
    gallery.add(pictures(unit(3000, seed=9)), camera="west")
    among_many = gallery.search(rows[0].tobytes(), top_k=1)
    assert among_many.num_people == 3010  # a picture without pid or track may be anybody
    assert among_many.verdict == "unsure"  # no threshold keeps the rate among so many
    assert gallery.search(rows[0].tobytes(), camera=["north", "south"], top_k=1).verdict == "known as 0"


def test_a_decision_rests_on_the_nearest_whether_or_not_it_is_shown(open_store: Open) -> None:
    gallery, rows = filled(lambda **options: open_store(CALIBRATED, **options))
    for query in (rows[0], unit(1, seed=77)[0]):
        shown = gallery.search(query.tobytes(), 1)
        hidden = gallery.search(query.tobytes(), 1, min_similarity=1.5)
        assert not hidden.matches
        assert (hidden.verdict, hidden.decision) == (shown.verdict, shown.decision)
    for wrong in ({"min_similarity": float("nan")}, {"false_positive_rate": 7}, {"false_negative_rate": float("nan")}):
        with pytest.raises(ConfigError):
            gallery.search(rows[0].tobytes(), **wrong)
    for top in (0, 1.5, "3", True):
        with pytest.raises(ConfigError, match="top_k is"):
            gallery.search(rows[0].tobytes(), top)  # type: ignore[arg-type]


def test_without_calibration_or_entries_nothing_is_decided_wrongly(open_store: Open) -> None:
    gallery = open_store()
    assert list(gallery.search(unit(1)[0].tobytes())) == []
    assert gallery.search(unit(1)[0].tobytes()).verdict == ""
    gallery.close()
    assert open_store(CALIBRATED).search(unit(1)[0].tobytes()).verdict == "nobody we know"


def test_what_is_hidden_is_not_compared(open_store: Open) -> None:
    gallery = open_store(CALIBRATED)
    rows = unit(300, seed=3)
    gallery.add(pictures(rows), camera="north")
    query = rows[7].copy()
    query[6:] = 5  # what hides the lower half
    query[:4] = rows[8, :4]  # and spoils the whole
    query /= np.linalg.norm(query)
    answer = gallery.search(query.tobytes(), 5, hidden=(0.5, 1))
    plain = gallery.search(query.tobytes(), 100)
    upper = query[4:6] / np.linalg.norm(query[4:6])
    shown = {m.id: float(rows[m.id - 1, 4:6] @ upper) / float(np.linalg.norm(rows[m.id - 1, 4:6])) for m in plain}
    assert [match.id for match in answer] == sorted(shown, key=lambda number: -shown[number])[:5]
    assert [match.similarity for match in answer] == pytest.approx(sorted(shown.values())[:-6:-1], abs=1e-5)
    assert answer.verdict == answer[0].verdict == ""
    assert all(m.similarity >= 0.9 for m in gallery.search(query.tobytes(), hidden=(0.5, 1), min_similarity=0.9))
    for wrong in ((0.5, 0.5), (0, 1), (-1, 0.5), (0.5,), ("a", 1), (0.2, float("nan"))):
        with pytest.raises(ConfigError, match="hidden is"):
            gallery.search(query.tobytes(), hidden=wrong)


def test_a_foreign_model_is_refused(open_store: Open) -> None:
    gallery, _ = filled(open_store)
    with pytest.raises(GalleryError, match="cannot be compared"):
        open_store(EightValues(identity="another"))
    with pytest.raises(EmbeddingError, match="are of model another"):
        gallery.add_embeddings(unit(1), model="another", camera="north")
    assert len(gallery) == 40


def test_what_is_no_embedding_is_refused_whole(open_store: Open) -> None:
    gallery, _ = filled(open_store)
    for bad in (np.nan, np.inf, 2.0, 0.0):
        rows = unit(5)
        rows[3] *= bad
        with pytest.raises(EmbeddingError, match="embedding 3"):
            gallery.add_embeddings(rows, model=MODEL.identity, camera="north")
        with pytest.raises(EmbeddingError, match="length"):
            gallery.search_embeddings(rows)
    with pytest.raises(EmbeddingError, match=f"n, {DIM}"):
        gallery.add_embeddings(unit(2, dim=5), model=MODEL.identity, camera="north")
    assert len(gallery) == 40


@pytest.mark.parametrize(
    "given",
    [
        {"camera": ""},
        {"camera": ["north"]},
        {"camera": "n", "time": datetime(2026, 1, 1)},
        {"camera": "n", "time": float("nan")},
        {"camera": "n", "pid": 1.5},
        {"camera": "n", "pid": True},
        {"camera": "n", "pid": 2**70},
        {"camera": "n", "attributes": {"a": [1]}},
        {"camera": "n", "attributes": {"a": float("inf")}},
        {"camera": "n", "track": 1.5},
        {"camera": "n", "pool": "worst"},
    ],
)
def test_bad_facts_are_refused_at_the_door(open_store: Open, given: Any) -> None:
    gallery = open_store()
    with pytest.raises(ConfigError):
        gallery.add(pictures(unit(2)), **given)
    assert len(gallery) == 0


def test_forgetting_a_person_leaves_the_others(open_store: Open) -> None:
    gallery, rows = filled(open_store)
    other = open_store()
    other.search(rows[0].tobytes())
    gone = gallery.forget(pid=2, who="officer", purpose="request 12")
    assert gone.entries == 4
    assert all(match.pid != 2 for match in other.search(rows[9].tobytes(), None))
    assert len(other) == 36
    line = list(gallery.audit())[-1]
    assert (line.action, line.who, line.purpose, line.detail) == (
        "forget",
        "officer",
        "request 12",
        {"entries": 4, "by": "pids"},  # how many, and by what; not whom
    )
    with pytest.raises(ConfigError, match="say what to forget"):
        gallery.forget()
    with pytest.raises(ConfigError, match="unknown filter"):
        gallery.forget(person=7)
    assert gallery.forget(pid=2).entries == 0
    assert not list(gallery.verify())


def test_retention_forgets_what_is_older(open_store: Open) -> None:
    gallery = open_store()
    now = datetime.now(UTC)
    times = [now - timedelta(days=days) for days in (50, 31, 29, 0)]
    gallery.add(pictures(unit(4)), camera="north", time=times)
    gallery.add(pictures(unit(1)), camera="north")
    assert gallery.forget(older_than=30 * 86400).entries == 2
    assert len(gallery) == 3  # what has no time has no age
    with pytest.raises(ConfigError, match="older_than"):
        gallery.forget(older_than=-1)


def test_what_is_to_be_forgotten_is_counted_and_stays(open_store: Open) -> None:
    gallery, _ = filled(open_store)
    gallery.add(pictures(unit(1, seed=3)), camera="north")  # without a time
    told = gallery.to_forget(before=10.0, camera="north")
    assert (told.entries, told.people, dict(told.cameras)) == (5, 3, {"north": 5})
    assert (told.first, told.last, told.untimed) == (0.0, 8.0, 1)
    assert gallery.within(["south"]).to_forget(before=10.0).cameras == {"south": 5}
    assert gallery.to_forget(before=10.0, untimed=True, camera="north").entries == 6
    with pytest.raises(ConfigError, match="what to forget"):
        gallery.to_forget()
    assert len(gallery) == 41
    gone = gallery.forget(before=10.0, camera="north")
    assert (gone.entries, gone.untimed) == (told.entries, told.untimed)


def test_a_period_takes_along_who_was_still_there_when_it_began(open_store: Open) -> None:
    gallery = open_store()
    walk: dict[str, Any] = {"kind": "tracklet", "end": 130.0}
    gallery.add(pictures(unit(1)), camera="north", time=10.0, attributes=walk)
    gallery.add(pictures(unit(1, 1)), camera="north", time=20.0, attributes={**walk, "end": 90})
    gallery.add(pictures(unit(1, 2)), camera="north", time=30.0, attributes={"end": "130"})
    gallery.add(pictures(unit(1, 3)), camera="north", time=120.0)
    gallery.add(pictures(unit(1, 4)), camera="south", time=10.0, attributes=walk)
    assert gallery.to_forget(camera="north", after=100.0, before=200.0).entries == 2
    assert gallery.forget(camera="north", after=100.0, before=200.0).entries == 2
    assert [entry.id for entry in gallery.entries()] == [2, 3, 5]
    assert gallery.forget(after=130.0).entries == 1
    assert gallery.forget(after=130.1).entries == 0


def test_a_name_is_one_person_however_its_letters_are_written(open_store: Open) -> None:
    gallery = open_store()
    composed, apart = "Jos\u00e9", "Jose\u0301"
    gallery.add(pictures(unit(3)), camera="north", person=[composed, apart, apart])
    assert [(person.entries, person.pid == pid_of_name(composed)) for person in gallery.people()] == [(3, True)]
    of_old = 2**52 + int.from_bytes(hashlib.blake2b(apart.encode(), digest_size=8).digest(), "big") % 2**52
    gallery.add(pictures(unit(1, 1)), camera="north", pid=of_old)
    assert gallery.forget(people=[composed]).entries == 4


def test_an_id_that_comes_again_is_found(open_store: Open) -> None:
    gallery, vectors = open_store(), unit(3)
    gallery.add_embeddings(vectors, model=MODEL.identity, camera="north", ids=[1, 2, 3])
    gallery.forget(id=3)
    assert [match.id for match in gallery.search_embeddings(vectors[2])[0]] != [3]
    gallery.add_embeddings(vectors[2:], model=MODEL.identity, camera="north", ids=[3])
    assert gallery.search_embeddings(vectors[2], 1)[0][0].id == 3


def test_an_id_that_was_given_is_not_given_again(open_store: Open) -> None:
    gallery, vectors = open_store(), unit(5)
    gallery.add_embeddings(vectors[:1], model=MODEL.identity, camera="north")
    gallery.add_embeddings(vectors[1:3], model=MODEL.identity, camera="north", ids=[2, 4])
    ids = gallery.add_embeddings(vectors[3:], model=MODEL.identity, camera="north")
    assert not {1, 2, 4} & set(ids)
    assert len(gallery) == 5


def test_ids_are_never_given_again(open_store: Open) -> None:
    gallery, _ = filled(open_store)
    gallery.forget(before=1e9)
    assert gallery.add(pictures(unit(1)), camera="north") == [41]


def test_one_is_true_and_true_is_one(open_store: Open) -> None:
    gallery = open_store()
    kept: dict[str, Any] = {"t": True, "f": 1.0, "i": 1, "z": 0, "text": "1", "two": 2}
    gallery.add(pictures(unit(1)), camera="north", attributes=kept)
    for name in ("t", "f", "i"):
        for value in (True, 1, 1.0):
            assert len(list(gallery.entries(attributes={name: value}))) == 1, (name, value)
    assert len(list(gallery.entries(attributes={"z": False, "two": 2.0}))) == 1
    for name, other in (("t", False), ("i", "1"), ("text", 1), ("two", True), ("z", "")):
        assert not list(gallery.entries(attributes={name: other})), (name, other)


def test_links_are_of_pids(open_store: Open) -> None:
    gallery, _ = filled(open_store)
    for wrong in ((2**64, 1), ("1", 2), (1, None), (1.5, 2)):
        with pytest.raises(ConfigError):
            gallery.link(*wrong)
    with pytest.raises(ConfigError):
        gallery.unlink(2**64)
    assert not gallery.links()


def test_links_merge_people_and_can_be_undone(open_store: Open) -> None:
    gallery, rows = filled(open_store)
    first = gallery.link(1, 2)
    second = gallery.link(3, 1)  # into what 1 is now
    answer = gallery.search(rows[4].tobytes(), None)
    assert answer[0].person == "2"
    assert answer[0].pid == 1  # what was added stays as it was
    assert answer.num_people == 8
    assert {match.pid for match in gallery.search(rows[4].tobytes(), None, pid=3)} == {1, 2, 3}
    with pytest.raises(GalleryError, match="one person already"):
        gallery.link(3, 2)
    gallery.unlink(second)
    assert {match.pid for match in gallery.search(rows[4].tobytes(), None, pid=3)} == {3}
    gallery.unlink(first)
    assert gallery.search(rows[4].tobytes(), None).num_people == 10
    with pytest.raises(GalleryError, match="no link"):
        gallery.unlink(first)
    gallery.link(5, 6)
    gallery.forget(pid=5)  # both, as they are one
    assert not gallery.links()
    assert len(gallery) == 32


@pytest.mark.parametrize("pool", ["mean", "best"])
def test_a_walk_makes_one_entry(open_store: Open, pool: str) -> None:
    gallery = open_store()
    rows = unit(5)
    times = [5.0, 3.0, None, 9.0, 4.0]
    assert gallery.add(pictures(rows), camera="north", track="t", time=times, pool=pool) == [1]
    (entry,) = gallery.entries()
    mean = rows.astype(np.float64).mean(axis=0)
    expected = mean / np.linalg.norm(mean) if pool == "mean" else rows[np.argmax(rows @ mean)]
    assert np.allclose(entry.embedding, expected, atol=1e-6)
    assert entry.time == 3.0
    with pytest.raises(ConfigError, match="one camera, track and pid"):
        gallery.add(pictures(rows), camera=["a", "b", "a", "a", "a"], pool=pool)


def test_searches_are_written_down_where_asked(open_store: Open) -> None:
    gallery, rows = filled(open_store, audit_searches=True)
    gallery.search(rows[0].tobytes(), top_k=3, who="guard", purpose="lost child", pid=0)
    line = list(gallery.audit())[-1]
    assert (line.action, line.who, line.purpose) == ("search", "guard", "lost child")
    assert line.detail == {"searches": 1, "answers": 3, "by": "pids"}
    with pytest.raises(GalleryError, match=r"audited, so this one has no answer: .*reading only"):
        open_store(read_only=True).search(rows[0].tobytes())


def test_crops_are_kept_where_asked(open_store: Open) -> None:
    gallery, rows = filled(open_store, keep_crops=True)
    assert [entry.crop for entry in gallery.entries(ids=[1, 2])] == pictures(rows[:2])
    stats = gallery.stats()
    assert (stats.entries, stats.people, stats.crops, stats.first, stats.last) == (40, 10, 40, 0.0, 39.0)
    assert stats.cameras == {"north": 20, "south": 20}


def test_writers_at_once_lose_nothing(open_store: Open) -> None:
    open_store()
    ids: list[list[int]] = []

    def write(seed: int) -> None:
        gallery = open_store(wait_s=60.0)
        for step in range(5):
            ids.append(gallery.add(pictures(unit(7, seed=10 * seed + step)), camera="north", track=f"{seed}-{step}"))
            gallery.forget(track=f"{seed}-{step}", id=ids[-1][0])

    writers = [Thread(target=write, args=(seed,)) for seed in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    gallery = open_store()
    given = [number for batch in ids for number in batch]
    assert len(set(given)) == len(given) == 140
    assert {entry.id for entry in gallery.entries()} == {number for batch in ids for number in batch[1:]}
    assert len(list(gallery.audit())) == 20
    assert not list(gallery.verify())


def test_text_that_an_engine_might_not_keep_is_refused_whole(open_store: Open) -> None:
    with open_store() as gallery:
        for given in (
            {"camera": "a\0b"},
            {"camera": "a", "track": "\0"},
            {"camera": "a", "attributes": {"x": "\ud800"}},
        ):
            with pytest.raises(ConfigError, match="cannot be kept"):
                gallery.add(pictures(unit(2)), **given)
        assert len(gallery) == 0
        for place, letter in enumerate("\x01\b\f\n\r\t\x7f\\%]é\"'"):
            name = f"a{letter}b"
            gallery.add(pictures(unit(1)), camera=name, track=name, attributes={name: name}, time=-1.0)
            (found,) = gallery.search(pictures(unit(1))[0], camera=name, track=name, attributes={name: name})
            assert (found.camera, found.track) == (name, name)
            assert gallery.search(pictures(unit(1))[0], exclude_camera=name).num_people == place
        assert gallery.forget(before=0.0).entries == 13
        assert gallery.stats().people == 0
        for wrong in ({"pid": 1, "who": "\udcff"}, {"camera": "\udcff"}, {"attributes": {"n": 2**64}}):
            with pytest.raises(ConfigError):
                gallery.forget(**wrong)
        gallery.add(pictures(unit(1)), camera="a:b' OR 1=1 --", track="\"'; DROP TABLE entries", pid=2**63 - 1)
        assert gallery.search(pictures(unit(1))[0], camera="a:b' OR 1=1 --")[0].pid == 2**63 - 1


@pytest.mark.parametrize("open_store", ["sqlite", "postgres"], indirect=True)  # which have transactions
def test_a_filter_is_of_the_moment_of_its_deletion(open_store: Open) -> None:
    """Two openings link and delete at once: whichever comes first, the other one sees all of it."""
    gallery, other = open_store(), open_store(wait_s=60.0)
    for turn in range(5):
        first, second = 10 * turn + 1, 10 * turn + 2
        gallery.add(pictures(unit(2, seed=turn)), camera="north", pid=[first, second])
        thread = Thread(target=other.link, args=(second, first))
        thread.start()
        gone = gallery.forget(pid=first).entries
        thread.join()
        left = {entry.pid for entry in gallery.entries(pids=[first, second])}
        linked = [link for link in gallery.links() if first in (link.pid, link.into)]
        assert (gone, left, len(linked)) in ((2, set(), 0), (1, {second}, 1))
    assert not list(gallery.verify())


def test_the_audit_is_read_by_pages(open_store: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resight.gallery.audit.LINES_AT_ONCE", 2)
    gallery = open_store()
    assert gallery.store.last_line() is None
    for number in range(1, 6):
        gallery.store.append_audit("view" if number % 2 else "export", "me", f"look {number}", {"n": number})
    for after, limit, actions in (
        (0, None, ()),
        (2, 2, ()),
        (4, 9, ()),
        (9, 1, ()),
        (0, 0, ()),
        (1, 2, ("view", "add")),
    ):
        wanted = [number for number in range(1, 6) if not actions or number % 2]
        expected = wanted[after:] if limit is None else wanted[after : after + limit]
        assert [line.detail["n"] for line in gallery.audit(after, limit, actions)] == expected, (after, limit, actions)
    for asked, last in (("", "look 5"), ("export", "look 4"), ("view export", "look 5")):
        line = gallery.store.last_line(*asked.split())
        assert line is not None
        assert line.purpose == last
    assert gallery.store.last_line("forget") is None
