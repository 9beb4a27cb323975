"""A gallery in Milvus or Milvus Lite."""
