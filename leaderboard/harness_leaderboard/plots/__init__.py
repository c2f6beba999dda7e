"""The pictures of `harness plot`: which rows each is drawn from, and how it becomes a file.

`numbers.Numbers` is a view with one score; `models`, `grids` and `forecasts` make a `numbers.Picture` of it, one function a picture;
`files` makes its specification and the file. The charts themselves are those of the page, in `harness_leaderboard.charts`.
"""
