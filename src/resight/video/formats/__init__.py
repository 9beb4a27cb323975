"""Boxes and tracks as text: MOT lines, AI City lines, lines of JSON."""
