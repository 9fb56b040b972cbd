"""How much the library is trusted with; measured, see the notes on durable-rules in docs/patterns.md."""

MAX_EVENTS = 64
"""Events that a pattern sees of a customer, the newest; also messages in one replay."""
MAX_CHAINS = 5_000
"""Partial and whole combinations of events that a pattern may form in a window; each costs some 10 µs."""
MAX_MARKERS = 50
"""Places in a ruleset. They are siblings that may all match one message, beside two joins of one of them;
the library fails from 64 on."""
MAX_CONDITIONS = 250
"""Conditions in a ruleset; the library crashes when 256 share a sibling."""
MAX_ATTRIBUTES = 60
"""Attributes that joins of a ruleset read; with markers and the rest well below 250 properties a message."""
