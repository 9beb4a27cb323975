"""One file a dataset format, and their catalogue."""
