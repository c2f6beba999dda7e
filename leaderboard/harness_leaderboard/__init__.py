"""Leaderboards from a results store: statistics, tables."""
