"""Is it working, and if not, why? Read-only observers of a run that name a failure, its evidence and a remedy."""
