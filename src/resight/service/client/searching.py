"""Searching a gallery that a service shows."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

import numpy.typing as npt

from resight.core.calibration import FALSE_ACCEPT_RATE, FALSE_REJECT_RATE
from resight.core.errors import ConfigError, UnreadableImage
from resight.gallery.arguments import (
    embeddings_of,
    listed,
    min_similarity_of,
    one_for_each,
    pool_of,
    top_k_of,
    word_of,
)
from resight.gallery.arguments import rate_of as checked_rate
from resight.gallery.filters import Filter
from resight.gallery.results import SearchResult
from resight.gallery.search.occluded import hidden_of
from resight.service.client.asking import Asking, check_who
from resight.service.client.records import bytes_of, conditions, decision_of, match_of, rate_of, titled

Seen = str | Sequence[str | None] | None


class Searching(Asking):
    """The part of RemoteGallery that searches."""

    def search(
        self, crops: Any, top_k: int | None = 20, *, pool: str = "mean", channel_order: str = "rgb", **options: Any
    ) -> SearchResult:
        """As Gallery.search. crops: paths, or the bytes of files, of which the service knows the channel_order."""
        items = listed(crops)
        pictures = [base64.b64encode(bytes_of(item, place)).decode() for place, item in enumerate(items)]
        asked = self._asked(len(pictures), top_k, **options)
        body = {**asked, "crops": pictures, "pool": pool_of(pool, len(pictures))}
        try:
            return self._search(body, asked["seen_by"])
        except UnreadableImage as error:
            raise titled(error, items) from None

    def search_embeddings(
        self,
        embeddings: npt.ArrayLike,
        top_k: int | None = 20,
        *,
        pool: str | None = None,
        min_similarity: float | None = None,
        filter: Filter | None = None,
        hidden: tuple[float, float] | None = None,
        seen_by: Seen = None,
        false_positive_rate: float = FALSE_ACCEPT_RATE,
        false_negative_rate: float = FALSE_REJECT_RATE,
        who: str | None = None,
        purpose: str | None = None,
        **conditions: Any,
    ) -> list[SearchResult]:
        """As Gallery.search_embeddings, with pool 1,000 rows at most."""
        vectors = embeddings_of(embeddings, self.settings.dim)
        asked = self._asked(
            len(vectors),
            top_k,
            min_similarity=min_similarity,
            filter=filter,
            hidden=hidden,
            seen_by=seen_by,
            false_positive_rate=false_positive_rate,
            false_negative_rate=false_negative_rate,
            who=who,
            purpose=purpose,
            **conditions,
        )
        asked["model"], cameras = self.settings.model, asked["seen_by"]
        if pool_of(pool, len(vectors)) is not None:
            return [self._search({**asked, "embeddings": vectors.tolist(), "pool": pool}, cameras)]
        rows = zip(vectors.tolist(), cameras, strict=True)
        return [self._search({**asked, "embedding": row}, [camera]) for row, camera in rows]

    def _asked(
        self,
        num: int,
        top_k: int | None,
        *,
        min_similarity: float | None = None,
        filter: Filter | None = None,
        hidden: tuple[float, float] | None = None,
        seen_by: Seen = None,
        false_positive_rate: float = FALSE_ACCEPT_RATE,
        false_negative_rate: float = FALSE_REJECT_RATE,
        who: str | None = None,
        purpose: str | None = None,
        **more: Any,
    ) -> dict[str, Any]:
        """All that is asked of `num` rows but the rows themselves. seen_by: a camera or None for each."""
        check_who(who)
        if (wanted := top_k_of(top_k)) is None:
            raise ConfigError("a service gives a number of matches (top_k), not all")
        return {
            **conditions(filter, **more),
            "top_k": wanted,
            "min_similarity": min_similarity_of(min_similarity),
            "hidden": None if hidden is None else hidden_of(hidden),
            "seen_by": [word_of(name, "camera") for name in one_for_each(seen_by, num, "seen_by")],
            "false_positive_rate": checked_rate(false_positive_rate, "false_positive_rate"),
            "false_negative_rate": checked_rate(false_negative_rate, "false_negative_rate"),
            "purpose": self._purpose(purpose),
        }

    def _search(self, body: dict[str, Any], seen_by: list[str | None]) -> SearchResult:
        body["seen_by"] = seen_by[0] if len(set(seen_by)) == 1 else seen_by
        return self._to.call("POST", "/search", _result_of, body=body)


def _result_of(told: dict[str, Any]) -> SearchResult:
    matches = tuple(match_of(each) for each in told["matches"])
    facts = told["num_people"], told["recall"], told["person"], told["site"]
    said = rate_of(told["strangers"]), tuple(told["named"]), tuple(told["notes"])
    return SearchResult(matches, decision_of(told["decision"]), *facts, *said)
