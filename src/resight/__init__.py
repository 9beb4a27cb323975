"""resight: person re-identification, from crops to answers.

Importing it is light: no torch, no onnxruntime.
"""

from resight.core.calibration import Calibration, Decision
from resight.core.errors import ResightError
from resight.core.records import EmbeddedCrops
from resight.core.version import VERSION as __version__
from resight.data.crops import Crop, Dataset
from resight.data.formats.catalogue import open_dataset
from resight.embedding.embedder import Embedder, load
from resight.evaluation.evaluate import Evaluation, evaluate
from resight.gallery.gallery import Gallery
from resight.gallery.opening import open_gallery

__all__ = [
    "Calibration",
    "Crop",
    "Dataset",
    "Decision",
    "EmbeddedCrops",
    "Embedder",
    "Evaluation",
    "Gallery",
    "ResightError",
    "__version__",
    "evaluate",
    "load",
    "open_dataset",
    "open_gallery",
]
