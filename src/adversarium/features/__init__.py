"""Features by name: what metrics compare samples by."""
