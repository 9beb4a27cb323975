"""From a trained network to a bundle: ONNX, int8, parity. torch and onnx."""
