"""Exact and approximate search in memory, and the row format that the engines share."""
