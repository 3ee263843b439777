"""Suffixes of media files."""

from __future__ import annotations

__all__ = ["MEDIA_SUFFIXES"]

# fmt: off
MEDIA_SUFFIXES = frozenset({
    ".264", ".265", ".3g2", ".3gp", ".aac", ".ac3", ".aif", ".aifc", ".aiff", ".amr", ".ape", ".asf", ".au",
    ".av1", ".avi", ".awb", ".caf", ".dav", ".divx", ".dv", ".eac3", ".evo", ".f4v", ".flac", ".flv", ".gif",
    ".gxf", ".h264", ".h265", ".hevc", ".ivf", ".m1v", ".m2t", ".m2ts", ".m2v", ".m4a", ".m4b", ".m4v", ".mj2",
    ".mjpeg", ".mjpg", ".mka", ".mkv", ".mov", ".mp2", ".mp3", ".mp4", ".mpe", ".mpeg", ".mpg", ".mts", ".mxf",
    ".nut", ".oga", ".ogg", ".ogm", ".ogv", ".ogx", ".opus", ".qt", ".ra", ".rm", ".rmvb", ".snd", ".spx",
    ".tod", ".trp", ".ts", ".tta", ".vob", ".w64", ".wav", ".weba", ".webm", ".wma", ".wmv", ".wtv", ".wv",
    ".y4m",
})
# fmt: on
"""Files that are scanned in a folder; a file named explicitly is read whatever its suffix."""
