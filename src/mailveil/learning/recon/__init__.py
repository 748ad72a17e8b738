"""Recon: how well reconnaissance is found in simulated mail, and how often honest mail raises an alarm."""
