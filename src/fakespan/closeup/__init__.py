"""Pictures of suspected segments for the page: mouths and spectrograms, from the scanned file."""
