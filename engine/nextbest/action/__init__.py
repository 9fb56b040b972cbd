"""Action: gates, relevance, mutual arbitration, ranking and reasons."""
