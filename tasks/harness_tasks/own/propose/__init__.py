"""`harness new suite`: a suite file to start from, for data of the user's own proposed from its first rows."""
