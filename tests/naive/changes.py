"""Changes between two snapshots as dictionaries: name → value, None = missing."""


def value_changed(old, new, least=0.0):
    """Whether a value differs; numbers by more than `least`."""
    if old is None or new is None:
        return (old is None) != (new is None)
    if isinstance(old, float | int) and not isinstance(old, bool):
        return old != new and abs(new - old) > least
    return old != new


def changes(catalogue, old, new, *, watched=None, least=None):
    """(set of changed groups, {name: (old, new)})."""
    least = least or {}
    found = {}
    for fact in catalogue.facts:
        if watched is not None and fact.name not in watched:
            continue
        was, is_now = old.get(fact.name), new.get(fact.name)
        if value_changed(was, is_now, least.get(fact.name, 0.0)):
            found[fact.name] = (was, is_now)
    return {catalogue[name].group for name in found}, found


def figure_changes(old, new, least):
    """Names of watched figures that changed; `least` by name."""
    return {name for name, bound in least.items() if value_changed(old[name], new[name], bound)}
