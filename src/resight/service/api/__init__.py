"""REST: one file a resource, and the shapes of what goes in and out."""
