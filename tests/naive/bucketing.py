"""Assignment by plain integers (domain.md section 11)."""


def fnv(text):
    """32-bit FNV-1a of the text's UTF-8."""
    value = 0x811C9DC5
    for byte in text.encode():
        value = (value ^ byte) * 0x01000193 % 2**32
    return value


def bucket(seed, value, version):
    """The bucket; None for another version."""
    if version == 2:
        return fnv(str(fnv(seed + value))) % 10000 / 10000
    if version == 1:
        return fnv(value + seed) % 1000 / 1000
    return None


def ranges(count, coverage, weights):
    """Each variation's range."""
    coverage = min(1.0, max(0.0, coverage))
    if weights is None or len(weights) != count or not 0.99 <= sum(weights) <= 1.01:
        weights = [1 / count] * count
    return [[sum(weights[:i]), sum(weights[:i]) + coverage * weights[i]] for i in range(count)]


def choose(where, bounds):
    """The first range that holds it, else -1."""
    return next((i for i, (low, high) in enumerate(bounds) if low <= where < high), -1)
