"""What pictures with something painted over tell of a model: its strips taken away, and a third of a person hidden."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from resight.core.progress import Progress, silent
from resight.core.records import EmbeddedCrops, FloatArray
from resight.core.visibility import THIRDS, hide
from resight.data.crops import Crop, Dataset
from resight.data.decoding import mean_picture
from resight.data.embed import QueryGallery
from resight.embedding.card import Part
from resight.embedding.model import Model
from resight.evaluation.parts.occlusion import OcclusionRow, measure_occlusion
from resight.evaluation.parts.strips import Faithfulness, figures, leave_out, measure_deletion, paint_strip


def equal_strips(parts: Sequence[Part]) -> int:
    """Of how many equal parts, a strip each from top to bottom, an embedding consists; 1: of none."""
    strips = len(parts) > 1 and all(part.name.startswith("strip ") for part in parts)
    return len(parts) if strips and len({part.stop - part.start for part in parts}) == 1 else 1


def has_strips(parts: Sequence[Part]) -> bool:
    """Whether two pictures can be compared on the strips that both show."""
    return sum(part.name.startswith("strip ") for part in parts) > 1


def measure_faithfulness(
    model: Model,
    query_crops: Sequence[Crop],
    gallery_crops: Sequence[Crop],
    query: EmbeddedCrops,
    gallery: EmbeddedCrops,
    importance: FloatArray,
    protocol: str,
    *,
    progress: Progress = silent,
) -> Faithfulness:
    """Takes each strip of every query in turn, once out of the embedding and once out of the picture.

    query_crops, gallery_crops: those of `query` and `gallery`. importance: (q, K), as `strip_importance` gives it.
    """
    slices, size = equal_strips(model.parts), model.preprocessing
    picture = mean_picture(gallery_crops, size.height, size.width, size.resize)
    painted = [
        model.embed_crops(
            query_crops,
            progress=progress,
            what=f"painting over strip {strip + 1} of {slices}",
            edit=partial(paint_strip, strip=strip, slices=slices, picture=picture),
        )[0]
        for strip in range(slices)
    ]
    left_out = [leave_out(query, strip, slices) for strip in range(slices)]
    return Faithfulness(
        figures(query, gallery, protocol),
        measure_deletion(left_out, gallery, importance, protocol),
        measure_deletion(painted, gallery, importance, protocol),
    )


def measure_hidden(
    model: Model,
    dataset: Dataset,
    embedded: QueryGallery,
    protocol: str = "market1501",
    *,
    progress: Progress = silent,
) -> list[OcclusionRow]:
    """Rank-1 and mAP with each third of every query painted over in turn, compared plainly and on what both show.

    embedded: query and gallery of `dataset` by `model`. An embedding without strips is compared plainly alone.
    """
    size, parts = model.preprocessing, model.strips if has_strips(model.parts) else None
    picture = mean_picture(dataset.gallery, size.height, size.width, size.resize)
    named = {crop.name: crop for crop in dataset.query}
    crops = [named[name] for name in embedded.query.names]
    hidden = {
        third: model.embed_crops(
            crops, edit=partial(hide, third=third, picture=picture), progress=progress, what=f"hiding the {third}"
        )[0]
        for third in THIRDS
    }
    return measure_occlusion(embedded.query, hidden, embedded.gallery, parts, protocol)
