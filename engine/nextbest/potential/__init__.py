"""Potential: actual value and profit, lifetime value, the peer grid and the gaps."""
