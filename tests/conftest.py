"""Fixtures that more than one part's tests use."""
