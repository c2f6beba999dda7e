"""Suites of forecasting tasks, and the readers of the files that they come in."""
