"""What `resight calibrate` says at its end: what can be answered with the calibration, and how to ask for it."""

from __future__ import annotations

from rich.table import Table

from resight.cli import output
from resight.core.calibration import FALSE_ACCEPT_RATE, FALSE_REJECT_RATE, Calibration
from resight.evaluation.decisions.support import Support, people_for, supported
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
    """Prints the lowest rates that are supported, and what searches at the defaults will end in. num_people: in the
    gallery that is searched; None: not known."""
    own = supported(c)
    wide = own if num_people is None or num_people <= c.num_people else supported(c, num_people)
    table = Table("answer", "lowest rate", "by default", "to ask for it", box=None, pad_edge=False)
    table.add_row("a pair: same", *_cells(own.same, FALSE_ACCEPT_RATE, "false_accept_rate="))
    table.add_row("a pair: different", *_cells(own.different, FALSE_REJECT_RATE, "false_reject_rate="))
    for found in dict.fromkeys((own, wide)):
        among = f"a search among {found.num_people:,} people: known"
        table.add_row(among, *_cells(found.known, FALSE_ACCEPT_RATE, f"{POSITIVE} "))
    table.add_row("a search: nobody we know", *_cells(own.nobody, FALSE_REJECT_RATE, f"{NEGATIVE} "))
    table.add_row("a search: X, if anybody", *_cells(wide.named, FALSE_REJECT_RATE, f"{NEGATIVE} "))
    output.print_wide(table)
    output.say(_searches(c, wide))


def tell_support(gallery: Gallery, result: SearchResult) -> None:
    """Of a search that ended `unsure` since its rates are not supported: which ones are."""
    if not isinstance(gallery, Gallery) or result.decision is None or "support" not in result.decision.reason:
        return  # a service's gallery has no model here
    calibration = calibration_of(gallery.model, gallery.site.transform)
    if calibration is not None:
        found = supported(calibration, result.num_people)
        asked = ((POSITIVE, found.known), (NEGATIVE, found.nobody))
        able = " ".join(f"{option} {least:g}" for option, least in asked if least is not None)
        output.say(
            f"note: among {found.num_people:,} people this calibration supports "
            + (f"{able} or more; lower rates take a calibration on more people" if able else "no verdict at any rate")
        )


def _cells(least: float | None, default: float, option: str) -> tuple[str, str, str]:
    if least is None:
        return "none", "never", ""
    return f"{least:g}", "yes" if least <= default else f"no: it is {default:g}", f"{option}{least:g}"


def _searches(c: Calibration, found: Support) -> str:
    """What a search will end in, in words."""
    sides = (
        ("known", found.known, FALSE_ACCEPT_RATE, POSITIVE),
        ("nobody we know", found.nobody, FALSE_REJECT_RATE, NEGATIVE),
    )
    able = [verdict for verdict, least, default, _ in sides if least is not None and least <= default]
    if not c.similarity:
        lack = "it takes people with names to say more"
    else:
        lack = ", ".join(
            f"{default:g} takes some {people_for(default, least, c.num_people):,}"
            for _, least, default, _ in sides
            if least is not None and least > default
        )
        lack = f"more people support lower rates: {lack} or more, here there are {c.num_people:,}"
    ask = " ".join(f"{option} {least:g}" for _, least, default, option in sides if least and least > default)
    if len(able) == len(sides):
        return "a search at the default rates can say `known` and `nobody we know`"
    told = (
        f"a search at the default rates ({FALSE_ACCEPT_RATE:g}, {FALSE_REJECT_RATE:g}) will "
        + (f"say `{able[0]}` and never `{next(v for v, *_ in sides if v not in able)}`" if able else "end `unsure`")
        + (", or name whom it is, `if anybody`" if found.named and found.named <= FALSE_REJECT_RATE else "")
    )
    how = f". Ask for it: resight gallery search ... {ask}" if ask else ", at whatever rate is asked for"
    return f"{told}{how}; {lack}"
