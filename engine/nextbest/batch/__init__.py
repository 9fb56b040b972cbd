"""Batch: runs over column batches of a whole population."""
