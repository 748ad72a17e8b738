"""The pure core: values in, values out; no socket, clock, file, logging or randomness."""
