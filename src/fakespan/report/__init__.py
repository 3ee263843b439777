"""Output formats of a scan: JSON, CSV, WebVTT, SVG, terminal, HTML page; plots of training and evaluation. No torch."""
