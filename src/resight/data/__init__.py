"""Crops and where they come from: one file a dataset format. No torch."""
