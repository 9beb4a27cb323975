"""The durable gallery: embeddings of who was seen where, searched, decided on, deleted and audited."""
