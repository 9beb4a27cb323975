"""Bulk input and output of a gallery: data sets, files of embeddings, and lines of JSON."""
