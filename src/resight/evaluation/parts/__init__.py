"""Comparison by the parts of an embedding: aligned, hidden, explained."""
