"""The site: what one place's cameras add to embeddings, fitted from its own crops without identities."""
