"""Where things are and how they are set: the data directory's paths, and settings from TOML and environment."""

from ordergate.config.paths import Paths, PathsError
from ordergate.config.settings import Problem, Settings, SettingsError, load_settings

__all__ = ["Paths", "PathsError", "Problem", "Settings", "SettingsError", "load_settings"]
