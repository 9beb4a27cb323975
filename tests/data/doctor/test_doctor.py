"""Each fault is put into a sound data set, and must be found and counted."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from resight.core.intervals import wilson_interval
from resight.data.city.synthetic import CityConfig, draw_city
from resight.data.crops import Crop, Dataset, Problem
from resight.data.doctor import picture_checks
from resight.data.doctor.advice import SITE_PICTURES
from resight.data.doctor.doctor import Diagnosis, examine
from resight.data.doctor.duplicates import Pairs, near_pairs
from resight.data.doctor.findings import Finding
from resight.data.doctor.survey import Bits, Flags
from resight.data.formats.catalogue import open_dataset
from resight.data.labels import settled
from resight.site.fitting import LEAST_PICTURES


@pytest.fixture(scope="module")
def city() -> Dataset:
    """Sound: enough people that no check has anything to say."""
    return draw_city(CityConfig(train_people=6, test_people=44, cameras=3, crops_per_camera=3, height=64, width=32))


def found(diagnosis: Diagnosis) -> dict[str, Finding]:
    return {finding.code: finding for finding in diagnosis.findings}


def redrawn(crop: Crop, change: Callable[[Image.Image], Image.Image], kind: str = "PNG") -> Crop:
    out = io.BytesIO()
    change(Image.open(io.BytesIO(crop.read()))).save(out, kind)
    return replace(crop, data=out.getvalue())


def renamed(crop: Crop, **fields: int) -> Crop:
    return replace(crop, name=f"new/{crop.name}", **fields)  # type: ignore[arg-type]


def test_nothing_is_wrong_with_the_city(city: Dataset) -> None:
    diagnosis = examine(city)
    assert [finding.what for finding in diagnosis.findings] == []
    assert diagnosis.severity is None
    assert diagnosis.presence.sum() == len(city.train) + len(city.query) + len(city.gallery)
    assert [split.name for split in diagnosis.splits] == ["train", "query", "gallery"]
    assert diagnosis.splits[1].num_images == len(city.query)


def test_the_same_picture_where_it_must_not_be(city: Dataset) -> None:
    query, train, gallery = city.query[0], city.train[0], city.gallery
    stranger = next(crop for crop in gallery if crop.pid not in (0, query.pid))
    as_png = redrawn(query, lambda picture: picture)  # other bytes, the same pixels
    cases = (
        (replace(city, gallery=(*gallery, renamed(query))), "query-in-gallery", "(1 of them byte for byte)"),
        (replace(city, gallery=(*gallery, renamed(as_png))), "query-in-gallery", "(0 of them byte for byte)"),
        (replace(city, train=(*city.train, renamed(query, pid=train.pid))), "train-in-test", "1 test picture stands"),
        (replace(city, gallery=(*gallery, renamed(stranger, pid=query.pid))), "two-pids", "1 picture"),
        (replace(city, train=(*city.train, renamed(train))), "repeated", "1 further copy"),
    )
    for dataset, code, says in cases:
        finding = found(examine(dataset))[code]
        assert finding.count == 1
        assert says in finding.what
        assert len(finding.examples[0]) == 2
        assert finding.severity == ("note" if code == "repeated" else "error")


def test_copies_behind_a_first_one_are_seen(city: Dataset) -> None:
    """The first is in another split, or nobody knows who it shows."""
    train, stranger = city.train[0], next(crop for crop in city.gallery if crop.pid > 0)
    twice = tuple(replace(renamed(train), name=f"new/{number}") for number in range(2))
    findings = found(examine(replace(city, gallery=(*city.gallery, *twice))))
    assert findings["repeated"].count == 1
    assert [crop.name for crop in findings["repeated"].examples[0]] == ["new/0", "new/1"]
    assert findings["train-in-test"].count == 2
    unknown = replace(city.gallery[-1], data=redrawn(stranger, lambda picture: picture.rotate(180)).data, path=None)
    same = tuple(replace(unknown, name=f"new/{pid}", pid=pid) for pid in (-1, 5, 6, 6))
    findings = found(examine(replace(city, gallery=(*city.gallery, *same))))
    assert [crop.pid for crop in findings["two-pids"].examples[0]] == [5, 6]
    assert (findings["two-pids"].count, findings["repeated"].count) == (1, 1)


def test_a_picture_that_is_there_many_times_is_compared_once(city: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    query, person = city.query[0], city.query[0].pid
    dark = redrawn(query, lambda picture: picture.point(lambda value: int(value * 0.8)))
    copies = tuple(replace(dark, name=f"new/{number}") for number in range(30))
    seen: list[int] = []

    def compared(hashes: Bits, skip: Flags) -> Pairs:
        seen.append(int((~skip).sum()))
        return near_pairs(hashes, skip)

    monkeypatch.setattr(picture_checks, "near_pairs", compared)
    findings = found(examine(replace(city, gallery=(*city.gallery, *copies, replace(dark, name="x", pid=person + 1)))))
    assert seen == [len(city.train) + len(city.query) + len(city.gallery) + 1]
    assert findings["near-query-in-gallery"].count == 2  # one of each pid
    assert findings["near-two-pids"].count == 1


def test_nearly_the_same_picture(city: Dataset) -> None:
    def darker(picture: Image.Image) -> Image.Image:
        return picture.point(lambda value: int(value * 0.8))

    query, train = city.query[0], city.train[0]
    other = next(crop for crop in city.gallery if crop.pid not in (0, query.pid))
    cases = (
        (replace(city, gallery=(*city.gallery, renamed(redrawn(query, darker)))), "near-query-in-gallery"),
        (replace(city, train=(*city.train, renamed(redrawn(query, darker), pid=train.pid))), "near-train-in-test"),
        (replace(city, gallery=(*city.gallery, renamed(redrawn(other, darker), pid=query.pid))), "near-two-pids"),
    )
    for dataset, code in cases:
        finding = found(examine(dataset))[code]
        assert (finding.count, finding.severity) == (1, "warning")
        assert "at most 20 of 256 bits" in finding.what


def test_people_in_the_wrong_place(city: Dataset) -> None:
    train, pid = city.train, city.train[0].pid
    by_pid = {crop.pid for crop in train}
    known = replace(city, query=tuple(replace(crop, pid=pid) for crop in city.query[:1]) + city.query[1:])
    assert found(examine(known))["train-ids-in-test"].count == 1
    assert found(examine(known))["query-absent"].count == 1
    first_cameras = {p: next(crop.camid for crop in train if crop.pid == p) for p in by_pid}
    alone = replace(city, train=tuple(crop for crop in train if crop.camid == first_cameras[crop.pid]))
    assert found(examine(alone))["one-camera-ids"].count == len(by_pid)
    firsts = {crop.pid: crop for crop in reversed(train)}
    single = replace(city, train=tuple(firsts.values()))
    assert found(examine(single))["single-picture-ids"].count == len(by_pid)
    unequal = replace(
        city, train=tuple(crop for crop in train if crop.pid != pid) + tuple(firsts[pid] for _ in range(90))
    )
    assert found(examine(unequal))["unequal-classes"].count == 1
    assert found(examine(unequal))["unequal-classes"].what.startswith("1 identity has more than")


def test_queries_that_cannot_be_answered(city: Dataset) -> None:
    person = city.query[0].pid
    absent = replace(city, gallery=tuple(crop for crop in city.gallery if crop.pid != person))
    queries = [crop for crop in city.query if crop.pid == person]
    assert found(examine(absent))["query-absent"].count == len(queries)
    same = tuple(crop for crop in city.gallery if crop.pid != person or crop.camid == queries[0].camid)
    finding = found(examine(replace(city, gallery=same)))["query-one-camera"]
    assert finding.count == 1
    assert finding.what.startswith("1 query has pictures")
    few = found(examine(replace(city, query=city.query[:5])))["few-queries"]
    assert few.count == 5


def test_cameras_that_are_none(city: Dataset) -> None:
    def numbered(crops: tuple[Crop, ...], start: int) -> tuple[Crop, ...]:
        return tuple(replace(crop, camid=start + n) for n, crop in enumerate(crops))

    frames = replace(
        city, train=numbered(city.train, 0), query=numbered(city.query, 900), gallery=numbered(city.gallery, 5000)
    )
    assert "frame numbers" in found(examine(frames))["cameras-are-none"].what
    dates = replace(city, train=tuple(replace(crop, camid=20261123) for crop in city.train))
    assert "dates" in found(examine(dates))["cameras-are-none"].what
    train, query, gallery = (
        tuple(replace(crop, camid=4) for crop in crops) for crops in (city.train, city.query, city.gallery)
    )
    one = replace(city, train=train, query=query, gallery=gallery)
    diagnosis = examine(one)
    assert found(diagnosis)["one-camera"].severity == "warning"
    assert diagnosis.advice.protocols == ("no-camera",)
    single = tuple({crop.pid: crop for crop in one.query}.values())
    own = examine(replace(one, query=single, gallery=tuple(map(renamed, single))))
    assert own.advice.protocols == ()  # each one's only match is the picture itself, which no-camera leaves out


def test_pictures_of_nobodys_names_are_for_adaptation(city: Dataset) -> None:
    everything = [replace(crop, pid=-1) for crop in (*city.train, *city.query, *city.gallery)]
    nameless = replace(city, train=(), query=(), gallery=tuple(everything))
    advice = examine(nameless, data="my site").advice
    assert advice.command == "resight adapt default 'my site' -o runs/mine"
    assert "3 of 3 cameras have so many" in advice.command_reason
    assert (advice.protocols, SITE_PICTURES) == ((), LEAST_PICTURES)
    few = examine(replace(nameless, gallery=tuple(everything[:50]))).advice
    assert few.command is None


def test_odd_files_and_sizes(city: Dataset) -> None:
    first, *rest = city.train
    cases = {
        "too-small": redrawn(first, lambda picture: picture.resize((20, 50))),
        "odd-shape": redrawn(first, lambda picture: picture.resize((90, 70))),
        "blank": redrawn(first, lambda picture: Image.new("RGB", picture.size, "grey")),
        "grey": redrawn(first, lambda picture: picture.convert("L").convert("RGB")),
        "misnamed": redrawn(first, lambda picture: picture),
        "unreadable": replace(first, data=b"nothing"),
    }
    for code, crop in cases.items():
        assert found(examine(replace(city, train=(crop, *rest))))[code].count == 1, code
    named = examine(replace(city, problems=(Problem("odd.jpg", "the name says nothing"),)))
    assert found(named)["ill-named"].files[0].name == "odd.jpg"
    assert found(named)["ill-named"].what.startswith("1 entry does not fit")


def test_missing_splits_and_rights(city: Dataset) -> None:
    diagnosis = examine(replace(city, query=(), rights="not stated by the data"))
    assert "query" in found(diagnosis)["empty-splits"].what
    assert "rights" in found(diagnosis)
    assert diagnosis.advice.protocols == ()
    assert diagnosis.advice.intervals == ()
    nothing = examine(replace(city, train=(), query=(), gallery=()))
    assert nothing.advice.command is None
    json.dumps(nothing.to_dict())


def test_findings_are_ordered_and_json_holds_them_all(city: Dataset) -> None:
    bad = replace(
        city, gallery=(*city.gallery, renamed(city.query[0])), rights="not stated by the data", query=city.query[:5]
    )
    diagnosis = examine(bad, "my data")
    assert [finding.severity for finding in diagnosis.findings] == ["error", "warning", "note"]
    values = json.loads(json.dumps(diagnosis.to_dict()))
    assert values["severity"] == diagnosis.severity == "error"
    assert [finding["code"] for finding in values["findings"]] == list(found(diagnosis))
    assert values["advice"]["command"].startswith("resight train 'my data' ")


def test_wilson_interval() -> None:
    # Wilson (1927), as worked in Agresti and Coull (1998) for 9 of 10
    assert wilson_interval(0.9, 10) == pytest.approx((0.5958, 0.9821), abs=1e-4)
    low, high = wilson_interval(1.0, 20)
    assert high == pytest.approx(1)
    assert low == pytest.approx(20 / (20 + 1.959964**2))


def test_the_reference_data_s_queries_in_their_gallery(pku_reid: Path) -> None:
    finding = found(examine(open_dataset(pku_reid)))["query-in-gallery"]
    assert finding.count == 17
    assert finding.what.startswith("17 of 28 query pictures stand in the gallery too")
    assert "(17 of them byte for byte)" in finding.what


def test_no_near_copy_is_imagined_among_real_pictures(market501: Path) -> None:
    codes = set(found(examine(open_dataset(market501))))
    assert codes == {"query-one-camera"}


def test_memory_does_not_hold_the_pictures(city: Dataset) -> None:
    diagnosis = examine(city)
    s = diagnosis.survey
    held = sum(value.nbytes for value in vars(s).values() if isinstance(value, np.ndarray))
    assert held < 150 * len(s.crops)


def test_cameras_that_are_the_people(city: Dataset) -> None:
    """The person's own number stands before the camera in the names, and is taken for it."""
    train, query, gallery = (
        tuple(replace(crop, camid=crop.pid) for crop in crops) for crops in (city.train, city.query, city.gallery)
    )
    diagnosis = examine(replace(city, train=train, query=query, gallery=gallery))
    finding = found(diagnosis)["cameras-are-people"]
    assert finding.severity == "error"
    assert "each person has a camera of their own" in finding.what
    assert diagnosis.advice.protocols == ()  # not no-camera, which flatters
    assert "mend that first" in diagnosis.advice.protocol_reason
    assert "cameras-are-none" not in found(diagnosis)


def test_what_pid_zero_is_taken_for(city: Dataset) -> None:
    assert "distractors" not in found(examine(city))  # the format itself says so
    own = replace(city, format="manifest")
    finding = found(examine(own))["distractors"]
    assert finding.count == sum(crop.pid == 0 for crop in city.gallery)
    assert "pid 0" in finding.what
    person = city.query[0].pid
    train, query, gallery = (
        tuple(replace(c, pid=0) if c.pid == person else c for c in crops if c.pid)
        for crops in (city.train, city.query, city.gallery)
    )
    diagnosis = examine(settled(replace(own, train=train, query=query, gallery=gallery)))
    finding = found(diagnosis)["person-zero"]
    assert finding.count == sum(crop.pid == person for crop in (*city.query, *city.gallery))
    assert "numbered from 0" in finding.what
    assert diagnosis.advice.num_scored == len(city.query)


def test_labels_that_could_be_meant_otherwise(city: Dataset) -> None:
    doubts = ("people that are written in two ways are taken as one: '007' and '7' are both 7",)
    finding = found(examine(replace(city, doubts=doubts)))["ambiguous-labels"]
    assert (finding.severity, finding.what) == ("warning", doubts[0])
    nobody = replace(city, gallery=(*city.gallery, renamed(redrawn(city.gallery[0], mirrored), pid=-1, camid=-1)))
    diagnosis = examine(nobody)
    assert found(diagnosis)["unknown-camera"].count == 1
    assert diagnosis.splits[2].num_ids == examine(city).splits[2].num_ids  # no identity is not one more


def mirrored(picture: Image.Image) -> Image.Image:
    return picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)


def test_labels_that_contradict_each_other_are_an_error(city: Dataset) -> None:
    problems = (
        Problem("a.jpg", "pid 7 in row 1 and pid 8 in row 2"),
        Problem("a.jpg", "pid 7 in row 1 and pid 9 in row 3"),
    )
    diagnosis = examine(replace(city, contradictions=problems))
    finding = found(diagnosis)["contradicting-rows"]
    assert (diagnosis.severity, finding.count, finding.files) == ("error", 1, problems)
    assert finding.what.startswith("1 picture is listed with labels that contradict")
