"""Changes between two snapshots as dictionaries: name → value, None = missing."""


def number_change(old, new, kind, *, by=0.0, by_share=0.0):
    """Whether a number changed in this way."""
    if old is None and new is None:
        return False
    if old is None:
        return kind in ("changed", "appeared")
    if new is None:
        return kind in ("changed", "vanished")
    if kind == "rose":
        right = new > old
    elif kind == "fell":
        right = new < old
    else:
        right = kind == "changed" and new != old
    return right and abs(new - old) >= by and (not by_share or abs(new - old) >= by_share * abs(old))


def changes(names, old, new):
    """The names whose values differ, or are there on one side only."""
    return {name for name in names if old.get(name) != new.get(name)}
