"""Weights of other projects' networks: read without running code of the file, told by their keys, made ours. torch."""
