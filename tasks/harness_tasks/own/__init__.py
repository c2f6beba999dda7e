"""A suite of one's own: tables of one's own and a YAML file that says what is to be forecast in them."""
