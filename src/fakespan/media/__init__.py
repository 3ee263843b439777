"""Media files in and out: facts, arrays at the model's clock, faces, features and windows."""
