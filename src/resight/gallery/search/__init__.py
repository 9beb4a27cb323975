"""Exact and approximate search in memory."""
