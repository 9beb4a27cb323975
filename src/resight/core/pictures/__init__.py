"""Single pictures: decoded, resized, normalised, and whether they show anything."""
