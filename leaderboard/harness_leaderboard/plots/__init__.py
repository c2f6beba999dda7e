"""The pictures of `harness plot`: which rows each is drawn from, and how it becomes a file.

`numbers.Numbers` is a view with one score; `PLOTS` holds, for each kind, what makes a `Picture` of it; `files.picture_file` writes one. The
charts themselves are those of the page, in `harness_leaderboard.charts`.
"""
