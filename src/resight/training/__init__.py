"""Recipes, samplers, augmentation, the loop. torch."""
