"""Commands: what ``scan`` and ``clean`` do with the mail that they are given, and how they report it."""
