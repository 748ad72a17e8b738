"""Web endpoints: the copies listener and the console, never on one name."""
