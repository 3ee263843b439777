"""Output formats of a scan: JSON, CSV, WebVTT, terminal, HTML page. Needs no torch."""
