"""resight: person re-identification, from crops to answers.

Importing it is light: no torch, no onnxruntime.
"""

from importlib.metadata import version

from resight.core.errors import ResightError

__version__ = version("resight")
__all__ = ["ResightError", "__version__"]
