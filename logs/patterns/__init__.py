"""The Errors page: rows at WARNING and above, grouped by the shape of their message and by where it was raised.

`shapes` and `versions` are pure, `state` folds rows into what is known of a pattern, `keeping` stores that as a reader of
the tail, `finding` selects, `decisions` settles, `views` shows.
"""
