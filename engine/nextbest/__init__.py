"""nextbest ranks the next best action for a customer by mutual value."""

__version__ = "0.1.0"
