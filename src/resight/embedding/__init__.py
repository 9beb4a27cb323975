"""The model bundle, and the embedder that runs it: onnxruntime or OpenVINO, no torch."""
