"""Ranking, protocols, metrics and their intervals: pure functions over arrays. numpy and scipy only."""
