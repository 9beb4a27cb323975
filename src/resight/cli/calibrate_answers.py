"""What `resight calibrate` says at its end: what can be answered with the calibration, and how to ask for it."""

from __future__ import annotations

from math import isnan

from rich.table import Table

from resight.cli import output
from resight.core.calibration import FALSE_ACCEPT_RATE, FALSE_REJECT_RATE, Calibration
from resight.evaluation.decisions.support import HALF, Answer, Support, people_for, supported
from resight.gallery.engines import is_gallery
from resight.gallery.gallery import Gallery
from resight.gallery.opening import open_gallery
from resight.gallery.results import SearchResult
from resight.gallery.search.meaning import calibration_of

POSITIVE, NEGATIVE = "--false-positive-rate", "--false-negative-rate"


def people_in(*specs: str | None) -> int | None:
    """How many people the first of these that is a gallery shows, as its searches count them; None where none is."""
    uri = next((spec for spec in specs if spec is not None and is_gallery(spec)), None)
    if uri is None:
        return None
    with open_gallery(uri, read_only=True) as gallery:
        return gallery.stats().people


def tell_answers(c: Calibration, num_people: int | None) -> None:
    """Prints which rates are supported, and what searches at the defaults will end in. num_people: in the gallery that
    is searched; None: not known."""
    own = supported(c)
    wide = own if num_people is None or num_people <= c.num_people else supported(c, num_people)
    table = Table("answer", "lowest rate", "given at the default", "given to half at", box=None, pad_edge=False)
    table.add_row("a pair: same", *_cells(own.same, FALSE_ACCEPT_RATE, "false_accept_rate="))
    table.add_row("a pair: different", *_cells(own.different, FALSE_REJECT_RATE, "false_reject_rate="))
    for found in dict.fromkeys((own, wide)):
        among = f"a search among {found.num_people:,} people: known"
        table.add_row(among, *_cells(found.known, FALSE_ACCEPT_RATE, f"{POSITIVE} "))
    table.add_row("a search: nobody we know", *_cells(wide.nobody, FALSE_REJECT_RATE, f"{NEGATIVE} "))
    table.add_row("a search: X, if anybody", "none" if wide.named is None else f"{wide.named:g}", "", "")
    output.print_wide(table)
    output.say(_searches(c, wide))


def tell_support(gallery: Gallery, result: SearchResult) -> None:
    """Of a search that ended `unsure` since its rates are not supported: which ones are."""
    if not isinstance(gallery, Gallery) or result.decision is None or "support" not in result.decision.reason:
        return  # a service's gallery has no model here
    calibration = calibration_of(gallery.model, gallery.site.transform)
    if calibration is not None:
        found = supported(calibration, result.num_people)
        able, half = (
            " ".join(f"{option} {rate:g}" for option, rate in zip((POSITIVE, NEGATIVE), rates, strict=True) if rate)
            for rates in ((found.known.least, found.nobody.least), (found.known.half, found.nobody.half))
        )
        told = f"note: among {found.num_people:,} people this calibration supports "
        told += f"{able} or more; lower rates take a calibration on more people" if able else "no verdict at any rate"
        output.say(f"{told}. Half of all searches are told their verdict at {half}" if half else told)


def _cells(answer: Answer, default: float, option: str) -> tuple[str, str, str]:
    """Of what is said of the verdict: lowest rate, at the default, and how to ask for half."""
    share = "never" if answer.by_default is None else f"to {_of_100(answer.by_default)}"
    return (
        "none" if answer.least is None else f"{answer.least:g}",
        f"{default:g}: {share}",
        "-" if answer.half is None else f"{option}{answer.half:g}",
    )


def _searches(c: Calibration, found: Support) -> str:
    """What a search will end in, in words."""
    sides = (
        ("known", "are there", found.known, FALSE_ACCEPT_RATE, POSITIVE),
        ("nobody we know", "are not", found.nobody, FALSE_REJECT_RATE, NEGATIVE),
    )
    given = [
        f"say `{verdict}` to {_of_100(answer.by_default)} who {where}"
        for verdict, where, answer, _, _ in sides
        if answer.by_default is not None
    ]
    named = ", or `X, if anybody`" if found.named and found.named <= FALSE_REJECT_RATE else ""
    told = f"a search at the default rates ({FALSE_ACCEPT_RATE:g}, {FALSE_REJECT_RATE:g}) will "
    told += f"{' and '.join(given)}{named}" if given else f"end `unsure`{named}"
    if not c.similarity:
        asking = f"; ask {POSITIVE} {found.known.least:g}" if found.known.least else ", at whatever rate is asked for"
        return f"{told}{'' if given else asking}: without people with names little more than `same` of a pair is known"
    short = [side for side in sides if (side[2].by_default or 0) < HALF]
    able = [side for side in short if side[2].half]
    if able:
        verdicts = " and ".join(f"`{verdict}`" for verdict, *_ in able)
        ask = " ".join(f"{option} {answer.half:g}" for _, _, answer, _, option in able)
        told += f". To say {verdicts} to half of them: resight gallery search ... {ask}"
    elif short:
        told += ", and to half of them at no rate below a half"
    needed = [
        f"`{verdict}` at {rate:g} takes some {people_for(rate, answer.least, c.num_people):,}"
        for verdict, _, answer, rate, _ in sides
        if answer.by_default is None and answer.least
    ]
    return told + (
        f". {', '.join(needed)} people to calibrate on at the least; here {c.num_people:,}" if needed else ""
    )


def _of_100(share: float) -> str:
    return "some" if isnan(share) else f"{100 * share:.0f} of 100"
