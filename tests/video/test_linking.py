"""Tracklets to people: what is known, what cannot be, and what a gallery then says."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from resight.core.distances import unit_rows
from resight.core.errors import ConfigError, DataError
from resight.core.records import FloatArray
from resight.embedding.loading import load
from resight.embedding.model import Model
from resight.gallery.gallery import Gallery
from resight.gallery.migrate import migrate
from resight.gallery.opening import open_gallery
from resight.gallery.people import pid_of_tracklet, root_of
from resight.gallery.transfer.exporting import export, restore
from resight.video.following import follow
from resight.video.linking import linker
from resight.video.linking.clustering import cluster
from resight.video.linking.evidence import Line, cannot_link, evidence_of, fitted_line, line_of, moved, share_of_same
from resight.video.linking.linker import carry_out, next_number, own_links, plan_links, undo_links
from resight.video.linking.planning import Plan
from resight.video.linking.sightings import Sightings
from resight.video.linking.site import UNKNOWN_PLACE, Site, Travel, read_site
from resight.video.packing import pack_boxes

LINE = Line(14.0, -6.0)
START = 1_772_352_000.0


def sightings(rows: list[tuple[str, float, float]], vectors: FloatArray | None = None) -> Sightings:
    """camera, start, end of each."""
    names, cameras = np.unique([row[0] for row in rows], return_inverse=True)
    ids = np.arange(1, len(rows) + 1)
    looks = np.eye(len(rows), dtype=np.float32) if vectors is None else vectors
    starts, ends = (np.array([row[place] for row in rows], np.float64) for place in (1, 2))
    return Sightings(ids, ids + 2**51, tuple(names.tolist()), cameras, starts, ends, looks, np.full(len(rows), 5))


def looks_of(people: list[int], noise: float = 0.35, dim: int = 64, seed: int = 0) -> FloatArray:
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(max(people) + 1, dim))
    found = centres[people] + rng.normal(0, noise, (len(people), dim))
    return unit_rows(found.astype(np.float32))


def test_what_cannot_be_one_person() -> None:
    found = sightings([("a", 0, 10), ("a", 5, 15), ("b", 5, 15), ("b", 16, 20), ("a", 12, 14)])
    site = Site(travel={frozenset("ab"): Travel(least_s=4)}, apart=((1, 5),))
    forbidden = cannot_link(found, found.gaps(), site)
    assert forbidden[0, 1]  # one camera, at one time
    assert forbidden[0, 2]  # two cameras, at one time
    assert forbidden[1, 3]  # faster than anyone walks
    assert not forbidden[0, 3]
    assert forbidden[0, 4]  # a user said so
    assert (forbidden == forbidden.T).all()
    assert not forbidden.diagonal().any()
    overlapping = cannot_link(found, found.gaps(), Site(overlaps=frozenset({frozenset("ab")})))
    assert not overlapping[0, 2]
    assert overlapping[0, 1]


def test_a_calibration_goes_on_beyond_its_last_step() -> None:
    """Isotonic ones are level at both ends, so that no pair could be one person where hundreds are about."""
    calibration = load("city", threads=1).calibration
    assert calibration is not None
    line = line_of(calibration)
    most = float(calibration.probability(0.999, prior=1 / 500))
    linked = line(np.array([[0.95]], np.float32)) + np.log(1 / 500)
    assert most < 0.5 < 1 / (1 + np.exp(-float(linked[0, 0])))
    inner = np.array(calibration.log_odds)
    inner = (np.abs(inner) < 3).nonzero()[0]
    knots = np.array(calibration.similarity)[inner]
    told = line(knots.astype(np.float32))
    assert np.abs(told - np.array(calibration.log_odds)[inner]).mean() < 1  # and follows it between them


def test_a_model_without_a_calibration_begins_as_the_packaged_ones_do() -> None:
    lines = [line_of(load(name, threads=1).calibration) for name in ("city", "default", "market", "open")]
    usual = line_of(None)
    assert min(line.slope for line in lines) < usual.slope < max(line.slope for line in lines)
    even = [-line.offset / line.slope for line in lines]  # where a pair is as likely one person as two, by looks alone
    assert min(even) < -usual.offset / usual.slope < max(even)


def test_where_no_strangers_are_known_all_pairs_stand_for_them() -> None:
    line = Line(10.0, -4.0, 0.1)
    similarity = np.random.default_rng(0).normal(0.3, 0.05, (60, 60)).astype(np.float32)
    nobody = np.zeros((60, 60), np.bool_)
    here = moved(line, similarity, nobody)
    assert here.offset == pytest.approx(-4.0 - 10 * 0.2, abs=0.05)
    assert moved(line, similarity[:5, :5], nobody[:5, :5]) == line  # ten pairs say little
    known = nobody.copy()
    known[:10, 10:20] = True
    similarity[:10, 10:20] = 0.5
    assert moved(line, similarity, known).offset == pytest.approx(-4.0 - 10 * 0.4, abs=0.01)


def test_a_logistic_line_is_found_again() -> None:
    rng = np.random.default_rng(0)
    similarity = rng.uniform(-0.5, 1, 60_000)
    share = 0.1
    truth = 1 / (1 + np.exp(-(12 * similarity - 5 + np.log(share / (1 - share)))))
    line = fitted_line(similarity, truth)
    assert line is not None
    overall = truth.mean()
    assert line.slope == pytest.approx(12, rel=0.02)
    assert line.offset + np.log(overall / (1 - overall)) == pytest.approx(-5 + np.log(share / (1 - share)), abs=0.15)


def test_the_number_of_people_follows_from_the_pairs() -> None:
    rng = np.random.default_rng(0)
    same = rng.random(100_000) < 0.02
    ratios = rng.normal(np.where(same, 4, -4), np.sqrt(8))  # which are their own log likelihood ratios
    assert share_of_same(ratios, UNKNOWN_PLACE) == pytest.approx(0.02, rel=0.15)
    assert share_of_same(ratios, Site(people=40)) == pytest.approx(1 / 40)
    assert share_of_same(np.full(1000, 9.0), UNKNOWN_PLACE, least_people=20) == pytest.approx(1 / 20)
    # Where looks hardly tell people apart a guess of four tracklets a person holds: 112 people, and not a few.
    assert 1 / 224 < share_of_same(rng.normal(-0.05, 0.447, 100_000), UNKNOWN_PLACE) < 1 / 28


def test_clusters_are_cut_where_pairs_are_expected_to_be_right() -> None:
    people = [number % 12 for number in range(60)]
    vectors = looks_of(people)
    rng = np.random.default_rng(1)
    rows = [(f"c{number % 3}", float(at), float(at) + 5) for number, at in enumerate(rng.uniform(0, 5e4, 60).tolist())]
    found = sightings(rows, vectors)
    evidence = evidence_of(found, LINE)
    clusters = cluster(evidence.ratios, evidence.prior, evidence.forbidden)
    pairs = np.equal.outer(people, people)
    ours = np.equal.outer(clusters.labels, clusters.labels)
    assert (pairs == ours).mean() > 0.99
    assert clusters.expected_f > 0.9
    assert clusters.labels[0] == 0
    assert (clusters.probability > 0.8).mean() > 0.9


def test_held_tracklets_stay_together_and_forbidden_ones_apart() -> None:
    ratios = np.array([[0, 9, -9], [9, 0, -9], [-9, -9, 0]], np.float32)
    free = np.zeros((3, 3), np.bool_)
    assert cluster(ratios, -3.0, free).labels.tolist() == [0, 0, 1]
    forbidden = free.copy()
    forbidden[0, 1] = forbidden[1, 0] = True
    assert cluster(ratios, -3.0, forbidden).labels.tolist() == [0, 1, 2]
    assert cluster(ratios, -3.0, free, np.array([0, -1, 0])).labels[[0, 2]].tolist() == [0, 0]


def test_equal_input_gives_equal_people() -> None:
    found = sightings([(f"c{n % 2}", n * 40.0, n * 40.0 + 9) for n in range(40)], looks_of([n % 9 for n in range(40)]))
    one, other = (evidence_of(found, LINE) for _ in range(2))
    assert (one.ratios == other.ratios).all()
    first, second = (cluster(each.ratios, each.prior, each.forbidden) for each in (one, other))
    assert (first.labels == second.labels).all()
    assert (first.probability == second.probability).all()


def test_a_site_file(tmp_path: Path) -> None:
    path = tmp_path / "site.toml"
    path.write_text(
        'people = 60\nfastest_m_s = 2.5\noverlaps = [["north", "hall"]]\napart = [[12, 31]]\n[clock_s]\ndoor = -2.5\n'
        '[[travel]]\nbetween = ["north", "door"]\nmetres = 40\ntypical_s = 35\n'
    )
    site = read_site(path)
    assert site.people == 60
    assert site.overlaps == {frozenset(("north", "hall"))}
    assert site.travel[frozenset(("north", "door"))].least_s == 16
    assert site.cameras() == {"north", "hall", "door"}
    for wrong, told in (
        ("cameras = 3", "unknown setting of a site 'cameras'"),
        ("people = 0", "people is a number"),
        ('overlaps = [["north"]]', "two cameras make a pair"),
        ("people =", "is no TOML"),
        ("travel = 3", "is not as docs/video.md"),
    ):
        path.write_text(wrong)
        with pytest.raises(ConfigError, match=told):
            read_site(path)
    with pytest.raises(ConfigError, match="cannot be read"):
        read_site(tmp_path / "none.toml")


@pytest.fixture(scope="module")
def model() -> Model:
    return load("city", threads=1)


@pytest.fixture
def gallery(tmp_path: Path, model: Model) -> Iterator[Gallery]:
    with open_gallery(tmp_path / "site.db", model, new=True) as found:
        yield found


def add(gallery: Gallery, people: list[int], start: float = START, first: int = 0, noise: float = 0.3) -> None:
    """A tracklet a minute, by two cameras in turn."""
    vectors = looks_of(people, noise=noise, dim=gallery.settings.dim)
    for number, vector in enumerate(vectors, first):
        camera, begin = f"c{number % 2}", start + 60.0 * (number - first)
        times = np.array([begin, begin + 5])
        gallery.add_embeddings(
            vector[None],
            model=gallery.settings.model,
            camera=camera,
            time=begin,
            track=f"t/{number}",
            pid=pid_of_tracklet(f"{camera}/t/{number}"),
            attributes={
                "kind": "tracklet",
                "source": "x",
                "end": begin + 5,
                "shots": 5,
                "boxes": pack_boxes(times, np.array([[0, 0, 9, 20]] * 2, np.float32)),
            },
        )


def link(gallery: Gallery, **options: Any) -> list[Plan]:
    plans = []
    for plan in plan_links(gallery, **options):
        carry_out(gallery, plan)
        plans.append(plan)
    return plans


def people_of(gallery: Gallery) -> dict[int, int]:
    """By entry: whom it is reported as."""
    table = {each.pid: each.into for each in gallery.links()}
    return {entry.id: root_of(entry.pid, table) for entry in gallery.entries() if entry.pid is not None}


def test_links_are_made_once_audited_and_taken_back(gallery: Gallery) -> None:
    add(gallery, [0, 1, 2, 0, 1, 2, 0, 1, 2])
    (dry,) = plan_links(gallery)
    assert gallery.links() == ()
    (plan,) = link(gallery)
    assert plan.links == dry.links
    found = people_of(gallery)
    assert len({found[number] for number in (1, 4, 7)}) == 1
    assert len(set(found.values())) == 3
    assert all(1_000_000 < number < 1_000_100 for number in found.values())  # which can be typed, and no data set has
    chances = own_links(gallery)
    assert len(chances) == len(plan.links) == 9
    assert all(0.5 <= chance <= 1 for chance in chances.values())
    (again,) = link(gallery)
    assert (again.links, again.undo, again.stay) == ((), (), 9)
    assert undo_links(gallery).undone == 9
    assert gallery.links() == ()
    assert sum(line.action == "unlink" for line in gallery.audit()) == 9
    assert not list(gallery.verify())


@pytest.mark.parametrize("way", ["export", "migrate"])
def test_a_copy_knows_which_links_were_made_automatically(gallery: Gallery, tmp_path: Path, way: str) -> None:
    add(gallery, [0, 1, 2, 0, 1, 2, 0, 1, 2])
    by_hand = gallery.link(pid_of_tracklet("c0/t/0"), 70, who="ann", purpose="seen on the film")
    link(gallery)
    chances = own_links(gallery)
    place, again = tmp_path / "copy.db", tmp_path / "again.jsonl"
    if way == "export":
        export(gallery, tmp_path / "all.jsonl")
        list(restore(str(place), iter((tmp_path / "all.jsonl").read_bytes().splitlines()), "all"))
    else:
        with open_gallery(place, gallery.model, who="ben", purpose="move") as new:
            migrate(gallery, new)
    with open_gallery(place, gallery.model) as copy:
        assert sorted(own_links(copy).values()) == sorted(chances.values())
        made = [line for line in copy.audit() if line.action == "link"]
        assert (made[0].purpose, made[0].detail["made_by"]) == ("seen on the film", "ann")
        assert way == "migrate" or made[0].detail["copied"] == "import"
        reasons = {each.reason for person in follow(copy) for each in person.sightings if each.probability is not None}
        assert reasons
        assert "linked by hand" not in reasons
        (plan,) = link(copy)
        assert (plan.links, plan.undo) == ((), ())
        export(copy, again)  # who made them is told by a copy of the copy too
        told = json.loads(again.read_bytes().splitlines()[0])["links"]
        assert told[0] == {"pid": told[0]["pid"], "into": 70, "who": "ann", "purpose": "seen on the film"}
        assert undo_links(copy).undone == len(chances)
        assert [link.into for link in copy.links()] == [70]
    assert by_hand == 1


def test_a_person_is_found_again_and_numbers_are_not_given_twice(gallery: Gallery) -> None:
    add(gallery, [0, 1, 0, 1])
    link(gallery)
    before = people_of(gallery)
    add(gallery, [0, 1, 0, 1, 2, 2], start=START + 3600, first=4)
    link(gallery)
    after = people_of(gallery)
    assert all(after[number] == before[number] for number in before)  # who was known keeps the number
    assert after[5] == before[1]
    assert len(set(after.values())) == 3
    undo_links(gallery)
    assert next_number(gallery) > max(after.values())
    link(gallery)
    assert not set(people_of(gallery).values()) & set(after.values())


def test_somebody_of_a_data_set_is_not_a_person_of_linking(gallery: Gallery) -> None:
    add(gallery, [0, 1, 0, 1])
    link(gallery)
    for pid in (1, 1501):  # as Market-1501 numbers people
        vector = looks_of([pid], dim=gallery.settings.dim)
        gallery.add_embeddings(vector, model=gallery.settings.model, camera="c5", pid=pid)
        assert gallery.forget(pid=pid).entries == 1
    assert len(gallery) == 4


def test_people_of_before_keep_their_low_numbers(gallery: Gallery, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linker, "PEOPLE", 0)
    add(gallery, [0, 1, 0, 1])
    link(gallery)
    before = people_of(gallery)
    monkeypatch.undo()
    add(gallery, [0, 1, 2, 2], start=START + 3600, first=4)
    link(gallery)
    after = people_of(gallery)
    assert max(before.values()) < 10
    assert after == before | {5: before[1], 6: before[2], 7: after[7], 8: after[7]}
    assert after[7] > 1_000_000


def test_tracklets_that_share_a_pid_are_linked_once(gallery: Gallery) -> None:
    """As they were added when a tracker's number came again."""
    add(gallery, [0, 1, 0, 1])
    add(gallery, [0, 1, 0, 1], start=START + 3600)
    link(gallery)
    people = people_of(gallery)
    assert [people[number] == people[1] for number in range(1, 9)] == [True, False] * 4
    (again,) = link(gallery)
    assert (again.links, again.undo) == ((), ())


def test_what_users_linked_stays(gallery: Gallery) -> None:
    add(gallery, [0, 1, 0, 1])
    entries = {entry.id: entry for entry in gallery.entries()}
    one, other = entries[1].pid, entries[2].pid
    assert one is not None
    assert other is not None
    gallery.link(one, other, purpose="seen on paper")
    link(gallery)
    found = people_of(gallery)
    assert found[1] == found[2]
    undo_links(gallery)
    assert len(gallery.links()) == 1


def test_who_a_user_says_are_two_people_are_not_linked(gallery: Gallery) -> None:
    add(gallery, [0, 1, 0, 1])
    link(gallery, site=Site(apart=((1, 3),)))
    found = people_of(gallery)
    assert found[1] != found[3]
    assert found[2] == found[4]


def test_cannot_links_of_the_gallery_hold(gallery: Gallery) -> None:
    add(gallery, [0, 1, 0, 1, 0])
    pids = {entry.id: entry.pid for entry in gallery.entries()}
    one, other = pids[1], pids[3]
    assert one is not None
    assert other is not None
    gallery.cannot_link(one, other, purpose="they stood side by side")
    link(gallery)
    found = people_of(gallery)
    assert found[1] != found[3]
    assert found[2] == found[4]


def test_forgetting_one_leaves_the_others_together(gallery: Gallery) -> None:
    add(gallery, [0, 1, 0, 1, 0, 1])
    link(gallery)
    before = people_of(gallery)
    gallery.forget(id=1)
    after = people_of(gallery)
    assert after == {number: person for number, person in before.items() if number != 1}
    assert len(gallery.links()) == 5


def test_windows_overlap_so_that_people_go_on(gallery: Gallery, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linker, "WINDOW", 8)
    add(gallery, [number % 3 for number in range(24)])
    plans = link(gallery)
    assert len(plans) == 5
    assert max(plan.tracklets for plan in plans) == 8
    found = people_of(gallery)
    assert len(set(found.values())) == 3
    assert len({found[number] for number in (1, 4, 22)}) == 1


def test_unsure_is_an_outcome(gallery: Gallery) -> None:
    add(gallery, [0, 0, 1, 1], noise=1.0)
    (plan,) = plan_links(gallery, sure=0.99)
    assert plan.links == ()
    assert plan.unsure
    assert all(0 < each.probability < 1 and each.reason for each in plan.unsure)


def test_what_cannot_be_linked(gallery: Gallery, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="resight video add"):
        list(plan_links(gallery))
    add(gallery, [0, 1])
    with pytest.raises(ConfigError, match="between 0 and 1"):
        list(plan_links(gallery, sure=2))
    with pytest.raises(ConfigError, match="names east, west"):
        list(plan_links(gallery, Site(overlaps=frozenset({frozenset(("east", "west"))}))))


def test_a_person_is_followed(gallery: Gallery) -> None:
    add(gallery, [0, 1, 0, 1, 2])
    link(gallery)
    people = follow(gallery)
    assert [len(person.sightings) for person in people][:2] == [2, 2]
    first = people[0]
    assert first.person is not None
    assert all(each.probability is not None and "looks alike" in each.reason for each in first.sightings)
    (only,) = [person for person in follow(gallery, pid=first.person) if person.person == first.person]
    assert [each.entry for each in only.sightings if not each.unsure] == [1, 3]
    assert people[-1].person is None
    with pytest.raises(ConfigError, match="no tracklet of a person 77"):
        follow(gallery, pid=77)
