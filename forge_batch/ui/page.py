"""Lay the page out."""
