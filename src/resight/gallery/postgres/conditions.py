"""A filter as a condition of PostgreSQL."""

from __future__ import annotations

import json
from typing import Any

from resight.gallery.filters import LASTING, AmongTerm, AttributeTerm, Filter, TimeTerm, terms_of
from resight.gallery.people import LinkTable


def condition_of(filter: Filter, links: LinkTable) -> tuple[str, dict[str, Any]]:
    """What follows WHERE of the entries e, and its parameters."""
    texts, values = ["TRUE"], dict[str, Any]()
    for place, term in enumerate(terms_of(filter, links)):
        key = f"v{place}"
        match term:
            case AmongTerm(field, among, never):
                kind = "text" if field in ("camera", "track") else "bigint"
                inside = f"e.{field} IN (SELECT value::{kind} FROM json_array_elements_text(:{key}))"
                texts.append(f"({inside}) IS NOT TRUE" if never else inside)
                values[key] = json.dumps(among)
            case TimeTerm(relation, moment, untimed, lasting):
                more = "" if untimed is None else f" OR e.time IS NULL OR e.time >= :{key}u"
                if lasting:
                    end = f"e.attributes::jsonb -> '{LASTING}'"
                    more += f" OR CASE jsonb_typeof({end}) WHEN 'number' THEN ({end})::float8 >= :{key} ELSE FALSE END"
                texts.append(f"(e.time {relation} :{key}{more})")
                values |= {key: moment} if untimed is None else {key: moment, f"{key}u": untimed}
            case AttributeTerm(name, value):
                alike = [bool(value), int(value)] if value in (0, 1) else [value]  # as in Python
                texts.append(f"e.attributes::jsonb @> ANY (cast(:{key} AS jsonb[]))")
                values[key] = [json.dumps({name: each}) for each in alike]
    return " AND ".join(texts), values
