"""Whether a model's strips matter as much as its embeddings say: strips painted over, and the figures taken again."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np

from resight.core.progress import Progress, silent
from resight.core.records import EmbeddedCrops, FloatArray
from resight.data.crops import Crop
from resight.evaluation.evaluate import Evaluation, evaluate
from resight.evaluation.strips import Faithfulness, choose_deleted, delete_strip, faithfulness
from resight.models.saved import Model
from resight.training.embed import embed_crops


def measure_faithfulness(
    model: Model,
    crops: Sequence[Crop],
    query: EmbeddedCrops,
    gallery: EmbeddedCrops,
    importance: FloatArray,
    protocol: str,
    *,
    device: str = "auto",
    progress: Progress = silent,
) -> Faithfulness:
    """Paints over each strip of every query in turn, in the model's mean colour, and embeds the pictures anew.

    crops: those of `query`. importance: (q, K), as `strip_importance` gives it; a query without
    one loses strip 0 either way.
    """
    slices = model.card.architecture.slices
    colour = model.card.preprocessing.mean
    deleted = [
        embed_crops(
            model,
            crops,
            device=device,
            progress=progress,
            what=f"painting over strip {strip + 1} of {slices}",
            edit=partial(delete_strip, strip=strip, slices=slices, colour=colour),
        )[0]
        for strip in range(slices)
    ]
    known = np.nan_to_num(importance)
    most, least = (choose_deleted(deleted, choice) for choice in (known.argmax(axis=1), known.argmin(axis=1)))

    def score(painted: EmbeddedCrops) -> Evaluation:
        return evaluate(painted, gallery, protocol, bootstrap_samples=1)

    return faithfulness(score(query), score(most), [score(painted) for painted in deleted], score(least))
