"""Feeds: reads the indicators that others share, from TAXII servers and MISP feeds."""
