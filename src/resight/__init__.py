"""resight: person re-identification, from crops to answers.

Importing it is light: no torch, no onnxruntime.
"""

from typing import Any

from resight.core.calibration import Calibration, Decision
from resight.core.errors import ResightError
from resight.core.progress import progress_bar
from resight.core.records import EmbeddedCrops
from resight.core.version import VERSION as __version__
from resight.data.crops import Crop, Dataset
from resight.data.formats.catalogue import open_dataset
from resight.data.pictures import open_pictures
from resight.embedding.loading import load
from resight.embedding.model import Model
from resight.evaluation.evaluate import Evaluation, evaluate
from resight.gallery.gallery import Gallery
from resight.gallery.opening import open_gallery
from resight.service.client.remote import connect
from resight.site.files import load_site, save_site
from resight.site.fitting import fit_site
from resight.site.transform import SiteTransform

__all__ = [
    "Calibration",
    "Crop",
    "Dataset",
    "Decision",
    "EmbeddedCrops",
    "Evaluation",
    "Gallery",
    "Model",
    "ResightError",
    "SiteTransform",
    "__version__",
    "connect",
    "evaluate",
    "fit_site",
    "load",
    "load_site",
    "open_dataset",
    "open_gallery",
    "open_pictures",
    "progress_bar",
    "save_site",
]


def __getattr__(name: str) -> Any:
    """`Embedder` of version 0.1 is `Model` now."""
    if name == "Embedder":
        import warnings

        warnings.warn("resight.Embedder is resight.Model now", DeprecationWarning, stacklevel=2)
        return Model
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
