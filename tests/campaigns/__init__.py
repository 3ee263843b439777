"""Campaigns: programs that try many damaged or hostile files; the short form of each is a test."""
