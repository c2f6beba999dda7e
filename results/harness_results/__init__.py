"""The results store (DuckDB), and import and export of published results."""
