"""One loss a file, one call shape: loss(embeddings, labels) -> scalar. torch."""
