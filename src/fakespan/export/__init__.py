"""Writes a checkpoint for other runtimes. ONNX files are read by `fakespan.portable`, without torch."""
