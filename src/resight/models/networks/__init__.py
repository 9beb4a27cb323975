"""The networks, one a file. A new one is a file here and a line in `resight.models.catalogue.NETWORKS`. torch."""
