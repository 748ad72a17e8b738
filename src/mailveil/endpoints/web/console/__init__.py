"""The console: the pages on which people see what mailveil does, and tell it what to do."""
