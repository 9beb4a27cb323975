"""A gallery behind HTTP: REST under /api/v1, keys and roles, a page for people, and a client."""
