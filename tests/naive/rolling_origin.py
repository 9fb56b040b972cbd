"""Slow, obvious rolling origin: which rows each group may be scored from, by comparing every pair of rows."""


def past(rows, group):
    """Indices of the rows that a model may learn from before `group` begins.

    Args:
        rows: (group, contact time, time when the outcome was known) of each row.
        group: the group to be scored.
    """
    begins = min(at for name, at, _ in rows if name == group)
    ended = {name for name, _, _ in rows if all(known < begins for other, _, known in rows if other == name)}
    return [i for i, (name, _, _) in enumerate(rows) if name in ended]
