"""Continuous glucose monitoring: reading the data, putting it on a grid, splitting it by patient and time, and scoring it."""
