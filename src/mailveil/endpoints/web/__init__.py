"""Web endpoints: the copies listener and the status page, never on one name."""
