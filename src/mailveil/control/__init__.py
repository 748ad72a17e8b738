"""The control room: what people and programs may ask of mailveil, whoever asks, by page, API or command line.

Use cases over stores (``stores.py``), each for an ``Actor`` with its rights in one organisation. Nothing here knows
HTTP, SQL or terminals.
"""
