"""Practice: training examples generated on the fly from banks of genuine clips and their generated twins."""
