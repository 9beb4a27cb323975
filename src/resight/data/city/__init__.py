"""The drawn city: people, scenery, cameras."""
