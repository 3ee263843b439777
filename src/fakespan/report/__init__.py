"""What a reader is shown: JSON, CSV, WebVTT, a terminal timeline and one HTML page. Needs no torch."""
