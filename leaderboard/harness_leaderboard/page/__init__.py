"""The leaderboard as one HTML file that opens from disk: template, style, scripts, and what puts them together.

`payload` makes the data, `render.page_html` the file. The scripts are plain modules that `render` joins into one function; they compute
every number of a slice by the rules of `aggregate`, `bootstrap`, `influence` and `significance`, and the tests compare the two.
"""
