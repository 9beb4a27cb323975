"""The durable gallery: who was seen where, and how sure are we. Its stores, its exact search, its audit."""
