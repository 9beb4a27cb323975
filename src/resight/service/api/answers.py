"""What comes out of REST. An embedding never does: it is biometric data."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from resight.core.calibration import Decision, Rate
from resight.gallery.curation.listing import Person
from resight.gallery.people import Links, person_of
from resight.gallery.records import Entry
from resight.gallery.results import Match, SearchResult


class RateOut(BaseModel):
    """A rate, and its 95% interval."""

    value: float
    low: float
    high: float


class DecisionOut(BaseModel):
    """What a similarity means. rate: how often such an answer is wrong; of `if anybody`, in searches for people who are
    there; of `unsure`, how often it comes."""

    verdict: str
    rate: RateOut | None
    threshold: float | None
    reason: str


class EntryOut(BaseModel):
    """One entry. person: the name, the pid with links applied, the track, or the entry itself, in a word. person_name:
    the name that was given with the entry itself, if any."""

    id: int
    camera: str
    time: float | None
    track: str | None
    pid: int | None
    person: str
    person_name: str | None
    name: str
    attributes: dict[str, Any]


class MatchOut(EntryOut):
    """One match. p_same: the probability that it shows this person, with the prior that the number of people gives, and
    its interval. strangers: of searches for strangers, the share whose nearest answer is as similar or more. verdict:
    that of its decision, empty where there is none."""

    similarity: float
    p_same: RateOut | None
    strangers: RateOut | None
    verdict: str
    decision: DecisionOut | None


class SearchOut(BaseModel):
    """The answer to a search. sentence: the verdict in words. strangers: as of a match, of this search's nearest. site:
    the identity of the site transform that was applied; empty: none. named: of the decision `if anybody`, who it is
    one of, if it is anybody; the nearest first. notes: what may be wrong with what was searched for."""

    sentence: str
    verdict: str
    person: str
    decision: DecisionOut | None
    named: list[str]
    num_people: int
    recall: float
    strangers: RateOut | None
    site: str
    notes: list[str]
    matches: list[MatchOut]


class EntriesOut(BaseModel):
    """A page of entries. next: the cursor of the next page, or null."""

    entries: list[EntryOut]
    next: int | None


class AddedOut(BaseModel):
    """ids: of each picture in order, new or there before; null where it was left out. there: those that were there.
    left_out: why others were not added."""

    ids: list[int | None]
    there: list[int]
    left_out: list[str]


class PersonOut(BaseModel):
    """One person, with links applied. example: the id of the first entry. first, last: seconds since 1970."""

    pid: int
    name: str
    pids: list[int]
    entries: int
    cameras: dict[str, int]
    first: float | None
    last: float | None
    example: int


class PeopleOut(BaseModel):
    """A page of people. next: the cursor of the next page, or null."""

    people: list[PersonOut]
    next: int | None


class LinkOut(BaseModel):
    """A link. number: what undoes it."""

    number: int
    pid: int
    into: int


class CannotLinkOut(BaseModel):
    """A cannot-link. number: what undoes it."""

    number: int
    pid: int
    other: int


class LinkPreviewOut(BaseModel):
    """What a link would join. refused: why it cannot be; empty: it can."""

    first: PersonOut | None
    second: PersonOut | None
    refused: str


class PairOut(BaseModel):
    """Two people who may be one. similarity: of their mean embeddings. p_same: at even odds."""

    first: PersonOut
    second: PersonOut
    similarity: float
    p_same: float | None
    verdict: str


class ForgetPreviewOut(BaseModel):
    """What would be forgotten. token: confirms it, within ten minutes."""

    entries: int
    people: int
    cameras: dict[str, int]
    untimed: int
    token: str


class CertificateOut(BaseModel):
    """What a deletion did, and what was checked afterwards. It does not say whom it was about.

    looked_for: how many embeddings and pictures were searched for in the gallery's files. traces: where bytes may still
    be; empty: none were found. beyond: what the engine keeps out of reach. site: what became of the site transform.
    copies: galleries that were made of this one by migration, and may have the same people. audit_number, audit_hash:
    its line.
    """

    time: str
    who: str
    purpose: str
    by: str
    entries: int
    looked_for: int
    traces: list[str]
    beyond: list[str]
    untimed: int
    site: str
    copies: list[str]
    audit_number: int
    audit_hash: str
    words: str


class AuditLineOut(BaseModel):
    """A line of the audit."""

    number: int
    time: str
    action: str
    who: str
    purpose: str
    detail: dict[str, Any]
    before: str
    hash: str


class AuditOut(BaseModel):
    """A page of the audit. next: the cursor of the next page, or null."""

    lines: list[AuditLineOut]
    next: int | None


class AuditHeadOut(BaseModel):
    """The end of the audit: keep the hash elsewhere. broken: where the chain is broken; empty: it is whole."""

    lines: int
    hash: str
    broken: str


class KeyOut(BaseModel):
    """A key, without its text. times: seconds since 1970."""

    id: str
    name: str
    role: str
    cameras: list[str] | None
    created: float
    expires: float | None
    revoked: float | None


class NewKeyOut(KeyOut):
    """A new key. key: its text, which is never shown again. without_entries: those of its cameras that the gallery
    has no entry of yet, as those of a name that was mistyped."""

    key: str
    without_entries: list[str]


class JobOut(BaseModel):
    """A job. state: running, done or failed. problem: the kind of error that it failed with."""

    id: str
    kind: str
    who: str
    began: float
    state: str
    ended: float | None
    done: int
    total: int
    what: str
    result: dict[str, Any]
    error: str
    problem: str


class Problem(BaseModel):
    """An error, as RFC 9457 has it. detail: what was wrong, and what to do."""

    type: str
    title: str
    status: int
    detail: str


def entry_out(entry: Entry, links: Links, names: dict[int, str]) -> EntryOut:
    """An entry as an answer. names: of pids that have names."""
    facts = {name: getattr(entry, name) for name in ("id", "camera", "time", "track", "pid", "name")}
    facts["person_name"] = entry.person
    return EntryOut(person=person_of(entry, links, names), attributes=dict(entry.attributes), **facts)


def person_out(person: Person) -> PersonOut:
    """A person as an answer."""
    return PersonOut.model_validate(person, from_attributes=True)


def search_out(result: SearchResult) -> SearchOut:
    """A search's result as an answer."""
    return SearchOut(
        sentence=sentence(result),
        verdict=result.verdict,
        person=result.person,
        decision=_decision_out(result.decision),
        named=list(result.named),
        num_people=result.num_people,
        recall=result.recall,
        strangers=_rate_out(result.strangers),
        site=result.site,
        notes=list(result.notes),
        matches=[_match_out(match) for match in result.matches],
    )


def sentence(result: SearchResult) -> str:
    """The verdict in words: what it is, how often that is wrong, and why it is unsure."""
    decision = result.decision
    if not result.num_people:
        return "Nobody is there who could be the answer: no entry matches these conditions."
    if decision is None:
        compared = "gallery's site transform" if result.site else "model"
        why = f"part of the picture is hidden, or the {compared} is not calibrated"
        return f"No verdict: {why}. Here is who is most alike."
    people = f"{result.num_people:,} people" if result.num_people > 1 else "one person"
    if decision.reason:
        why = decision.reason.replace("`", "")
        return f"Unsure whether this is {result.person} or nobody we know: {why}{_share(decision)}."
    if result.named:
        who = f"{' or '.join(result.named)}, if it is anybody here"
        return f"This is {who}. Among {people}, searches for one of them name somebody else in {_percent(decision)}."
    what = f"This is {result.person}" if result.verdict.startswith("known") else "Nobody we know"
    return f"{what}. Among {people}, such an answer is wrong in {_percent(decision)} of searches."


def _rate_out(rate: Rate | None) -> RateOut | None:
    return None if rate is None else RateOut.model_validate(rate, from_attributes=True)


def _decision_out(decision: Decision | None) -> DecisionOut | None:
    return None if decision is None else DecisionOut.model_validate(decision, from_attributes=True)


def _match_out(match: Match) -> MatchOut:
    facts = {name: getattr(match, name) for name in ("id", "camera", "time", "track", "pid", "name", "person")}
    return MatchOut(
        similarity=match.similarity,
        p_same=_rate_out(match.probability),
        strangers=_rate_out(match.strangers),
        verdict=match.decision.verdict if match.decision else "",
        decision=_decision_out(match.decision),
        attributes=dict(match.entry.attributes),
        person_name=match.entry.person,
        **facts,
    )


def _percent(decision: Decision) -> str:
    rate = decision.rate
    return "an unknown share" if rate is None else f"{rate.value:.1%} ({rate.low:.1%} to {rate.high:.1%})"


def _share(decision: Decision) -> str:
    return "" if decision.rate is None else f"; so it is in {_percent(decision)} of searches for known people"
