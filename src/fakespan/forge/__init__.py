"""Forgeries to practise on."""
