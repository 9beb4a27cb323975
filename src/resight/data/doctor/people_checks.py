"""What can be wrong with who is where: identities, queries, splits, rights."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from resight.core.records import IntArray
from resight.core.words import counted
from resight.data.crops import RIGHTS_UNKNOWN, SPLITS, Crop
from resight.data.doctor.findings import EXAMPLES, Finding
from resight.data.doctor.survey import Flags, Ids, Survey, count_by

UNEQUAL = 8  # times the median
FEW_QUERIES, FEW_IDS = 100, 30


def identities(s: Survey) -> Iterator[Finding]:
    """Who is in which split, how often, and by how many cameras."""
    train, test = s.rows("train"), s.rows("query", "gallery")
    shared = np.intersect1d(s.pids[train], s.pids[test])
    shared = shared[shared > 0]
    if len(shared):
        yield Finding(
            "train-ids-in-test",
            "error",
            len(shared),
            f"{counted(len(shared), 'identity of the training set is', 'identities of the training set are')} in query "
            "or gallery too",
            "The figures then measure people whom the network knows, not people it has never seen.",
            "Move each person to one side. If the two sides merely number different people alike, renumber one.",
            tuple(_one_each(s, pid) for pid in shared[:EXAMPLES].tolist()),
        )
    counts = count_by(s.pids[train])
    if counts:
        cameras = count_by(np.unique(np.stack((s.pids[train], s.camids[train])), axis=1)[0])
        alone = [pid for pid, seen_by in cameras.items() if seen_by == 1]
        if alone and len(np.unique(s.camids[train])) > 1:
            yield Finding(
                "one-camera-ids",
                "warning" if len(alone) > len(counts) / 2 else "note",
                len(alone),
                f"{len(alone):,} of {counted(len(counts), 'training identity', 'training identities')} "
                f"{'is' if len(alone) == 1 else 'are'} seen by one camera only",
                "From these the network cannot learn what of a person stays the same between cameras.",
                "Add pictures of them by other cameras. Until then, --colour-jitter helps a little.",
                tuple(_of_pid(s, train, pid) for pid in alone[:EXAMPLES]),
            )
        once = [pid for pid, number in counts.items() if number == 1]
        if once:
            yield Finding(
                "single-picture-ids",
                "warning" if len(once) > len(counts) / 10 else "note",
                len(once),
                f"{counted(len(once), 'training identity has', 'training identities have')} a single picture",
                "There is nothing to hold it against: a class of one teaches what sets it apart, not what it keeps.",
                "Add pictures, or leave those people out.",
                tuple(_of_pid(s, train, pid) for pid in once[:EXAMPLES]),
            )
        most, median = max(counts.values()), float(np.median(list(counts.values())))
        if most > UNEQUAL * median:
            many = [pid for pid, number in counts.items() if number > UNEQUAL * median]
            yield Finding(
                "unequal-classes",
                "warning",
                len(many),
                f"{counted(len(many), 'identity has', 'identities have')} more than {UNEQUAL} times the median of "
                f"{median:g} pictures (the largest: {most:,})",
                "Training sees mostly these few, and learns to tell them from the rest.",
                "Train with a sampler of identities (stripnet does; else --sampler balanced), or thin them out.",
                tuple(_of_pid(s, train, pid) for pid in many[:EXAMPLES]),
            )


def queries(s: Survey) -> Iterator[Finding]:
    """Queries that nothing can answer, or too few of them."""
    query, gallery = s.rows("query"), s.rows("gallery")
    if not len(query) or not len(gallery):
        return
    absent = query[~np.isin(s.pids[query], s.pids[gallery])]
    if len(absent):
        yield Finding(
            "query-absent",
            "warning",
            len(absent),
            f"{counted(len(absent), 'query', 'queries')} of "
            f"{counted(len(np.unique(s.pids[absent])), 'person who is', 'people who are')} not in the gallery at all",
            "No protocol can score them: they are skipped, and counted as skipped.",
            "Add these people to the gallery, or keep them on purpose, for open-set figures.",
            tuple((s.crops[row],) for row in absent[:EXAMPLES]),
        )
    answered = answered_across_cameras(s)
    stuck = query[np.isin(s.pids[query], s.pids[gallery]) & ~answered]
    if len(stuck):
        yield Finding(
            "query-one-camera",
            "warning",
            len(stuck),
            f"{counted(len(stuck), 'query has', 'queries have')} pictures of the person by the same camera only",
            "The market1501 protocol leaves those out, and skips the query.",
            "Use --protocol no-camera besides, or add pictures by other cameras.",
            tuple((s.crops[row],) for row in stuck[:EXAMPLES]),
        )
    scored, people = int(answered.sum()), len(np.unique(s.pids[query][answered]))
    if scored and (scored < FEW_QUERIES or people < FEW_IDS):
        yield Finding(
            "few-queries",
            "warning",
            scored,
            f"{counted(scored, 'query', 'queries')} of {counted(people, 'person', 'people')} can be scored across "
            "cameras",
            "The figures' intervals are wide; small differences between models are noise.",
            "Test on more people, or give the interval with each figure and claim no small difference.",
        )


def what_is_missing(s: Survey) -> Iterator[Finding]:
    """Splits without pictures, and rights that nobody states."""
    empty = [split for split in SPLITS if not len(s.rows(split))]
    if empty:
        yield Finding(
            "empty-splits",
            "note",
            len(empty),
            f"no pictures in {' and '.join(empty)}",
            "train is needed to train; query and gallery to evaluate.",
            "Nothing, if that is what you have them for.",
        )
    if s.dataset.rights == RIGHTS_UNKNOWN:
        yield Finding(
            "rights",
            "note",
            len(s.crops),
            "the data do not state who may do what with them",
            "A model trained on them says the same on its card, and nobody can ship it with a good conscience.",
            "Find out; a manifest has a column for it.",
        )


def answered_across_cameras(s: Survey) -> Flags:
    """(q,) bool: whether the gallery has the query's person by another camera."""
    return _answered_by_another(s, s.camids)


def answered_at_all(s: Survey) -> Flags:
    """(q,) bool: whether the gallery has another picture of the query's person."""
    return _answered_by_another(s, s.content_hashes)


def _answered_by_another(s: Survey, kinds: IntArray | Ids) -> Flags:
    """(q,) bool: whether the gallery has the query's person in a row of another kind. kinds: (n,) of each picture."""
    query, gallery = s.rows("query"), s.rows("gallery")
    seen = set(zip(s.pids[gallery].tolist(), kinds[gallery].tolist(), strict=True))
    kinds_of = count_by(np.array([pid for pid, _ in seen], np.int64))
    asked = zip(s.pids[query].tolist(), kinds[query].tolist(), strict=True)
    return np.array([kinds_of.get(pid, 0) > ((pid, kind) in seen) for pid, kind in asked], dtype=np.bool_)


def _of_pid(s: Survey, rows: IntArray, pid: int) -> tuple[Crop, ...]:
    return (s.crops[rows[np.flatnonzero(s.pids[rows] == pid)[0]]],)


def _one_each(s: Survey, pid: int) -> tuple[Crop, ...]:
    return _of_pid(s, s.rows("train"), pid) + _of_pid(s, s.rows("query", "gallery"), pid)
