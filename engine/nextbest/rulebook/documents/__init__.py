"""Models of the rulebook's files: what an author may write, key by key."""
