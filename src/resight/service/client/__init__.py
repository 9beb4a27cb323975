"""A gallery that a service shows, with the methods of one that is open here. It needs nothing beyond the package."""
