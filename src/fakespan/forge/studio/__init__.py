"""Content-driven forgeries from any real clips: a folder of people talking -> a LAV-DF-shaped data set."""

from fakespan.forge.studio.config import ForgeConfig
from fakespan.forge.studio.run import Result, forge_set

__all__ = ["ForgeConfig", "Result", "forge_set"]
