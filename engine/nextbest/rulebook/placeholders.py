"""What the texts of a new action say until its author writes them."""

REASON = "Why this is for you"
SAY = "What we say"
STAFF = "What staff should know"
PLACEHOLDERS = frozenset({REASON, SAY, STAFF})
"""All of them; no text is meant to be one."""
