"""Media files in and out: properties, arrays at the model's clock, faces, features."""
