"""resight: person re-identification, from crops to answers.

Importing it is light: no torch, no onnxruntime.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from resight.core.calibration import Calibration, Decision
    from resight.core.errors import ResightError
    from resight.core.progress import progress_bar
    from resight.core.records import EmbeddedCrops
    from resight.core.version import VERSION as __version__
    from resight.data.crops import Crop, Dataset
    from resight.data.formats.catalogue import open_dataset
    from resight.data.pictures import open_pictures
    from resight.data.splitting import split_people
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
    "split_people",
]


_PLACES = {
    "Calibration": "resight.core.calibration:Calibration",
    "Crop": "resight.data.crops:Crop",
    "Dataset": "resight.data.crops:Dataset",
    "Decision": "resight.core.calibration:Decision",
    "EmbeddedCrops": "resight.core.records:EmbeddedCrops",
    "Evaluation": "resight.evaluation.evaluate:Evaluation",
    "Gallery": "resight.gallery.gallery:Gallery",
    "Model": "resight.embedding.model:Model",
    "ResightError": "resight.core.errors:ResightError",
    "SiteTransform": "resight.site.transform:SiteTransform",
    "__version__": "resight.core.version:VERSION",
    "connect": "resight.service.client.remote:connect",
    "evaluate": "resight.evaluation.evaluate:evaluate",
    "fit_site": "resight.site.fitting:fit_site",
    "load": "resight.embedding.loading:load",
    "load_site": "resight.site.files:load_site",
    "open_dataset": "resight.data.formats.catalogue:open_dataset",
    "open_gallery": "resight.gallery.opening:open_gallery",
    "open_pictures": "resight.data.pictures:open_pictures",
    "progress_bar": "resight.core.progress:progress_bar",
    "save_site": "resight.site.files:save_site",
    "split_people": "resight.data.splitting:split_people",
}  # each name is imported when it is asked for: a search needs little of this


def __getattr__(name: str) -> Any:
    """`Embedder` of version 0.1 is `Model` now."""
    if name == "Embedder":
        import warnings

        warnings.warn("resight.Embedder is resight.Model now", DeprecationWarning, stacklevel=2)
        name = "Model"
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    module, _, there = _PLACES[name].partition(":")
    found = globals()[name] = getattr(import_module(module), there)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
