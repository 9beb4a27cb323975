"""The gallery on PostgreSQL with pgvector."""
