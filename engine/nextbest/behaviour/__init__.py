"""Behaviour: loyalty index, ladder level, stage, and changes from a customer's own baseline."""
