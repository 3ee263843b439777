"""Practice: examples made on the fly from banks of genuine clips and of what generators made of them."""
