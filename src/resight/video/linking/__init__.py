"""Tracklets of one site to people: evidence, clustering, links in a gallery."""
