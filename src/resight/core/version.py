"""Which resight this is, for every room to record."""

from importlib.metadata import version

VERSION = version("resight")
