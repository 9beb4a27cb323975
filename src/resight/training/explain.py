"""Whether a model's strips matter as much as its embeddings say: strips taken away, and the figures taken again."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from resight.core.progress import Progress, silent
from resight.core.records import EmbeddedCrops, FloatArray
from resight.data.crops import Crop
from resight.data.decoding import mean_picture
from resight.evaluation.parts.strips import Faithfulness, figures, leave_out, measure_deletion, paint_strip
from resight.models.saved import Model
from resight.training.embed import embed_crops


def measure_faithfulness(
    model: Model,
    query_crops: Sequence[Crop],
    gallery_crops: Sequence[Crop],
    query: EmbeddedCrops,
    gallery: EmbeddedCrops,
    importance: FloatArray,
    protocol: str,
    *,
    device: str = "auto",
    progress: Progress = silent,
) -> Faithfulness:
    """Takes each strip of every query in turn, once out of the embedding and once out of the picture.

    query_crops, gallery_crops: those of `query` and `gallery`. importance: (q, K), as `strip_importance` gives it.
    """
    slices, size = model.card.architecture.slices, model.card.preprocessing
    picture = mean_picture(gallery_crops, size.height, size.width)
    painted = [
        embed_crops(
            model,
            query_crops,
            device=device,
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
