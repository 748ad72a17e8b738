"""Adapters: what mailveil drives (fetcher, stores, worker processes, next hops)."""
