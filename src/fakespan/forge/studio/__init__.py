"""Makes data sets of content-driven forgeries in LAV-DF's layout from a folder of genuine clips of people talking."""

from fakespan.forge.studio.config import ForgeConfig
from fakespan.forge.studio.run import Result, forge_set

__all__ = ["ForgeConfig", "Result", "forge_set"]
