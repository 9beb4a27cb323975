"""The gallery on Milvus."""
