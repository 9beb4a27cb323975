"""What can be wrong with the pictures themselves: files, sizes, copies."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from resight.core.pictures.images import MAX_ASPECT, MIN_ASPECT
from resight.core.records import IntArray
from resight.core.words import counted
from resight.data.crops import Crop
from resight.data.doctor.duplicates import (
    NEAR_BITS,
    Pairs,
    cross_pairs,
    first_of_each,
    groups_of,
    near_pairs,
    pairs_between,
    same_value_pairs,
)
from resight.data.doctor.findings import EXAMPLES, Finding
from resight.data.doctor.survey import HASH_BITS, Survey

MIN_HEIGHT_PX, MIN_WIDTH_PX = 64, 24


def bad_files(s: Survey) -> Iterator[Finding]:
    """Files that cannot be read, or whose names say nothing, or that are not what they seem."""
    if s.unreadable:
        yield Finding(
            "unreadable",
            "warning",
            len(s.unreadable),
            f"{counted(len(s.unreadable), 'file')} cannot be read as a picture",
            "They are left out, of training and of the figures, and named each time.",
            "Fetch them again from their source, or delete them.",
            files=s.unreadable[:EXAMPLES],
        )
    if s.ill_named:
        yield Finding(
            "ill-named",
            "warning",
            len(s.ill_named),
            f"{counted(len(s.ill_named), 'entry does', 'entries do')} not fit the layout of {s.dataset.format}",
            "Nobody knows whom they show or who took them, so they are left out.",
            "Rename them, or name another format with --format.",
            files=s.ill_named[:EXAMPLES],
        )
    yield from _of_rows(
        s,
        np.flatnonzero(s.blank),
        "blank",
        "warning",
        "show nothing: one even colour",
        "The network learns from them that anybody may look like nothing.",
        "Delete them.",
    )
    if s.grey.any() and not s.grey.all():
        yield from _of_rows(
            s,
            np.flatnonzero(s.grey),
            "grey",
            "note",
            "have no colour, while others have",
            "Colour is what such networks go by; night pictures and day pictures of one person hardly match.",
            "Nothing, if you mean to search at night; else leave them out.",
        )
    yield from _of_rows(
        s,
        np.flatnonzero(s.misnamed),
        "misnamed",
        "note",
        "are another kind of file than their suffix says",
        "None here: the content decides. Other tools may refuse them.",
        "Rename them if other tools are to read them.",
    )


def odd_sizes(s: Survey) -> Iterator[Finding]:
    """Crops too small, or not of a standing person's shape."""
    small = (s.height_px < MIN_HEIGHT_PX) | (s.width_px < MIN_WIDTH_PX)
    yield from _of_rows(
        s,
        np.flatnonzero(small),
        "too-small",
        "warning",
        f"are lower than {MIN_HEIGHT_PX} or narrower than {MIN_WIDTH_PX} pixels",
        "Enlarged to the network's input they are blurred, and look like one another.",
        "Cut crops from a larger stream, or train at a lower --height and --width.",
    )
    aspect = s.height_px / np.maximum(s.width_px, 1)
    yield from _of_rows(
        s,
        np.flatnonzero((aspect < MIN_ASPECT) | (aspect > MAX_ASPECT)),
        "odd-shape",
        "warning",
        f"are not of a standing person's shape (height / width below {MIN_ASPECT} or above {MAX_ASPECT})",
        "Squeezed to the network's input, bodies are distorted: often half a person, several, or a whole frame.",
        "Cut one crop a person, or leave these out.",
    )


def same_pictures(s: Survey) -> Iterator[Finding]:
    """The same picture twice: where it must not be, and where it is only waste."""
    train, test = s.rows("train"), s.rows("query", "gallery")
    pairs = cross_pairs(s.content_hashes, train, test)
    yield from _copies(
        s,
        pairs,
        "train-in-test",
        f"{counted(len(pairs), 'test picture stands', 'test pictures stand')} in the training set too",
        "The figures measure what the network has learnt by heart.",
        "Remove them from the training set.",
    )
    pairs = cross_pairs(s.content_hashes, s.rows("gallery"), s.rows("query"))
    yield from _copies(
        s,
        pairs,
        "query-in-gallery",
        f"{len(pairs):,} of {counted(len(s.rows('query')), 'query picture')} "
        f"{'stands' if len(pairs) == 1 else 'stand'} in the gallery too",
        "The query finds itself first, and rank-1 counts it as a success, wherever the protocol does not remove it "
        "(market1501 removes it, if the camera is the same; no-camera always does; top10 never).",
        "Remove it from the gallery, or use a protocol that does.",
    )
    labelled = np.flatnonzero(s.pids >= 0)
    firsts = labelled[first_of_each(groups_of(s.content_hashes[labelled], s.pids[labelled]))]
    pairs = firsts[same_value_pairs(s.content_hashes[firsts])]
    yield from _copies(
        s,
        pairs,
        "two-pids",
        f"{counted(len(pairs), 'picture stands', 'pictures stand')} under two identities, of which one is wrong",
        "Training is told that one picture is two people; the figures count a right answer as wrong.",
        "Look at both, and remove the wrong one.",
    )
    pairs = same_value_pairs(groups_of(s.content_hashes, s.split, s.pids))
    if len(pairs):
        yield Finding(
            "repeated",
            "note",
            len(pairs),
            f"{counted(len(pairs), 'further copy', 'further copies')} of a picture under one identity of one split",
            "Training sees them more often; in a gallery they are several right answers for one.",
            "Keep one of each.",
            _shown(s, pairs),
        )


def nearly_same_pictures(s: Survey) -> Iterator[Finding]:
    """The same picture saved anew, resized or brightened, where it must not be."""
    contents = groups_of(s.content_hashes)
    firsts = first_of_each(contents)  # a picture that is there many times is compared once
    again = np.ones(len(contents), np.bool_)
    again[firsts] = False
    pairs = contents[near_pairs(s.hashes, s.blank | again)]
    pairs = pairs_between(pairs, contents, first_of_each(groups_of(contents, s.split, s.pids)))
    how = f"nearly the same picture: at most {NEAR_BITS} of {HASH_BITS} bits of its difference hash are others"
    train = s.split[pairs] == 0  # (m, 2)
    for code, what, effect, chosen in (
        (
            "near-train-in-test",
            "a test picture beside a training picture",
            "The figures measure what the network has nearly learnt by heart.",
            pairs[train[:, 0] != train[:, 1]],
        ),
        (
            "near-query-in-gallery",
            "a query beside a gallery picture",
            "Such a query is easy, and flatters every figure in which the pair counts.",
            pairs[(s.split[pairs[:, 0]] == 1) & (s.split[pairs[:, 1]] == 2)],
        ),
        (
            "near-two-pids",
            "two identities",
            "Likely one person under two labels, or one picture under the wrong one.",
            _two_pids(s, pairs),
        ),
    ):
        if len(chosen):
            yield Finding(
                code,
                "warning",
                len(chosen),
                f"{counted(len(chosen), 'pair')} of {how} ({what})",
                effect,
                "Look at the pairs; keep one of each.",
                _shown(s, chosen),
            )


def _of_rows(
    s: Survey, rows: IntArray, code: str, severity: str, what: str, effect: str, fix: str
) -> Iterator[Finding]:
    if len(rows):
        subject = f"{len(rows):,} of {counted(len(s.crops), 'picture')} {what}"
        yield Finding(code, severity, len(rows), subject, effect, fix, tuple((s.crops[r],) for r in rows[:EXAMPLES]))


def _copies(s: Survey, pairs: Pairs, code: str, what: str, effect: str, fix: str) -> Iterator[Finding]:
    """pairs: same pixels; says how many are the same bytes too."""
    if len(pairs):
        same_bytes = int((s.files[pairs[:, 0]] == s.files[pairs[:, 1]]).sum())
        subject = f"{what}, pixel for pixel ({same_bytes:,} of them byte for byte)"
        yield Finding(code, "error", len(pairs), subject, effect, fix, _shown(s, pairs))


def _two_pids(s: Survey, pairs: Pairs) -> Pairs:
    differ = s.pids[pairs[:, 0]] != s.pids[pairs[:, 1]]
    kept: Pairs = pairs[differ & (s.pids[pairs] >= 0).all(axis=1)]
    return kept


def _shown(s: Survey, pairs: Pairs) -> tuple[tuple[Crop, ...], ...]:
    return tuple((s.crops[a], s.crops[b]) for a, b in pairs[:EXAMPLES].tolist())
