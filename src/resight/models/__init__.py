"""Embedding networks: what they share, their catalogue, saved models, weights made elsewhere. torch."""
