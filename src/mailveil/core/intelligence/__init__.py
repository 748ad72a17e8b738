"""Intelligence: what observations mean. Who owns a tracker, who built their own, who reconnoitres whom, what is next.

Pure: ``studying`` takes a book of memos and an observation, and says what is new; it knows no clock and does no I/O.
"""
