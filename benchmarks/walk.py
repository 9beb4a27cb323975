"""From pictures to decisions, and to proof of forgetting: what a site would do, with every decision counted.

The test part of a data set (query and gallery) becomes a gallery, but for one camera; that camera's queries are then
searched for. Every fourth person is left out of the gallery, a stranger to it. Counted: of the searches for people who
are in it, how many are told as known and rightly so, as known and wrongly, as nobody, as unsure; of those for
strangers, how many are told as known, which at the most the promised rate should be. Then ten people are forgotten, and
looked for: by searches, and for the bytes of their embeddings in the gallery's files.

    python benchmarks/walk.py market501 --camera 6 [--model default] [--rate 0.1] [--misses 0.05] [--out walk.db]
    python benchmarks/walk.py synthetic:seed=7,test_people=120,cameras=6 --camera 5 --model city
"""

from __future__ import annotations

import argparse
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

import resight
from resight.core.records import FloatArray
from resight.data.crops import Crop

SHOWN = 12
FORGOTTEN = 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("--camera", type=int, required=True, help="whose queries are searched for")
    parser.add_argument("--model", default="default")
    parser.add_argument("--rate", type=float, default=0.1, help="of strangers told as known, at the most")
    parser.add_argument("--misses", type=float, default=0.05, help="of known people left out of an answer, at the most")
    parser.add_argument("--out", type=Path, help="keep the gallery here")
    options = parser.parse_args()
    data = resight.open_dataset(options.data)
    people = sorted({crop.pid for crop in data.query})
    strangers = set(people[::4])
    kept = [crop for crop in (*data.query, *data.gallery) if crop.pid > 0 and crop.camid != options.camera]
    kept = [crop for crop in kept if crop.pid not in strangers]
    sought = [crop for crop in data.query if crop.camid == options.camera]
    with tempfile.TemporaryDirectory() as folder:
        place = options.out or Path(folder) / "walk.db"
        with resight.open_gallery(place, resight.load(options.model), new=True, audit_searches=True) as gallery:
            embeddings = _add(gallery, kept)
            print(f"{len(gallery):,} pictures of {gallery.stats().people} people, cameras other than {options.camera}")
            _search(gallery, sought, {crop.pid for crop in kept}, options.rate, options.misses)
            _forget(gallery, place, sought, kept, embeddings)


def _add(gallery: resight.Gallery, crops: Sequence[Crop]) -> FloatArray:
    model = gallery.needed_model()
    embeddings = model.embed([crop.read() for crop in crops])
    gallery.add_embeddings(
        embeddings,
        model=model.identity,
        camera=[str(crop.camid) for crop in crops],
        time=[crop.time for crop in crops],
        pid=[crop.pid for crop in crops],
        names=[crop.name for crop in crops],
    )
    return embeddings


def _search(gallery: resight.Gallery, sought: Sequence[Crop], known: set[int], rate: float, misses: float) -> None:
    counts: dict[bool, Counter[str]] = {True: Counter(), False: Counter()}
    first = 0
    for number, crop in enumerate(sought):
        answer = gallery.search(crop.read(), 5, false_positive_rate=rate, false_negative_rate=misses, purpose="a walk")
        verdict = "told as known" if answer.verdict.startswith("known") else answer.verdict
        if verdict == "told as known" and crop.pid in known:
            verdict += ", rightly" if answer.verdict == f"known as {crop.pid}" else ", wrongly"
        if answer.named:
            verdict = "one, if anybody" if len(answer.named) == 1 else "two or three, if anybody"
            verdict += "" if crop.pid not in known else ", rightly" if str(crop.pid) in answer.named else ", wrongly"
        counts[crop.pid in known][verdict] += 1
        first += crop.pid in known and answer[0].person == str(crop.pid)
        if number < SHOWN:
            who = f"{crop.pid}" if crop.pid in known else f"{crop.pid}, a stranger"
            print(f"  {who:18} {answer[0].similarity:.3f}  {answer.verdict}")
    for inside, what in ((True, "people in the gallery"), (False, "strangers")):
        total = counts[inside].total()
        told = ", ".join(f"{verdict} {count}" for verdict, count in counts[inside].most_common())
        print(f"searches for {what}: {total}: {told}")
    print(f"nearest answer right, whatever the decision: {first} of {counts[True].total()}")
    wrong = counts[False]["told as known"] / max(1, counts[False].total())
    print(f"of strangers told as known: {wrong:.3f}, where {rate} was promised at the most")


def _forget(
    gallery: resight.Gallery, place: Path, sought: Sequence[Crop], kept: Sequence[Crop], embeddings: FloatArray
) -> None:
    gone = sorted({crop.pid for crop in sought} & {crop.pid for crop in kept})[:FORGOTTEN]
    done = gallery.forget(pids=gone, who="walk", purpose="ten requests")
    print(f"\nforgotten: {len(gone)} people, {done.entries} entries; traces that were found: {len(done.traces)}")
    found = [match.pid for crop in sought for match in gallery.search(crop.read(), 50) if match.pid in gone]
    raw = b"".join(path.read_bytes() for path in place.parent.glob(place.name + "*"))
    rows = [np.ascontiguousarray(row, "<f4").tobytes() for row in embeddings]
    still = sum(row in raw for row, crop in zip(rows, kept, strict=True) if crop.pid in gone)
    others = [row in raw for row, crop in zip(rows, kept, strict=True) if crop.pid not in gone]
    print(f"answers that show one of them: {len(found)}; of their embeddings in the files: {still}")
    print(f"of the others' embeddings there: {sum(others)} of {len(others)}; damages: {len(list(gallery.verify()))}")
    line = list(gallery.audit())[-1 - len(sought)]
    print(f"the audit says: {line.time} {line.action} by {line.who} for {line.purpose!r}: {dict(line.detail)}")


if __name__ == "__main__":
    main()
