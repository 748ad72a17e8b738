"""mailveil: a mail gateway that stops e-mail spy trackers before they reach an inbox."""

__version__ = "0.1.0"
