"""Figures and HTML.

matplotlib keeps a list of fonts in the home directory; unless it is told where (MPLCONFIGDIR) or was imported before,
it keeps it in a temporary folder here, which goes with the process.
"""

import atexit
import os
import shutil
import sys
import tempfile

if "matplotlib" not in sys.modules and "MPLCONFIGDIR" not in os.environ:
    os.environ["MPLCONFIGDIR"] = tempfile.mkdtemp(prefix="resight-matplotlib-")
    atexit.register(shutil.rmtree, os.environ["MPLCONFIGDIR"], ignore_errors=True)
