"""Client of the nextbest service."""
