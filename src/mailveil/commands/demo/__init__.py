"""The demonstration: the same mail past mailveil and through it, and what a spy learns of each."""
