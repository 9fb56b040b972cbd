"""Data: snapshots, histories and artifacts in Redis, loaders, the embedded Redis."""
