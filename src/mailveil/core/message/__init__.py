"""Message: raw bytes to parts with byte spans, and the way back from any decoded byte to its raw place."""
