"""Migrations: how the tables of each release become those of the next, one file a step (``versions``).

A step that was released is never changed. They are run by ``schema.upgrade``; ``bench/migration.py`` drafts a new one.
"""
