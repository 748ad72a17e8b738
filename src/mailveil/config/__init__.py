"""Configuration: one TOML file and the environment become frozen settings, once.

``default.toml`` is the only place where a default stands; ``settings`` gives each setting its type and
bounds, ``values`` reads one value, ``load`` the whole. A new setting is a field in ``settings`` and a
commented line in ``default.toml``.
"""

from mailveil.config.load import default_text, describe, engine_settings, find_file, load, policy_settings
from mailveil.config.settings import Settings
from mailveil.config.values import Endpoint, NextHop, SettingsError

__all__ = [
    "Endpoint",
    "NextHop",
    "Settings",
    "SettingsError",
    "default_text",
    "describe",
    "engine_settings",
    "find_file",
    "load",
    "policy_settings",
]
