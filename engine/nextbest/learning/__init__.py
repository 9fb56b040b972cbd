"""Learning: propensity models and what is learnt from outcomes."""
