"""An archive of pictures embedded in parts: here, or by a cluster of Ray."""
