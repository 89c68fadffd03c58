"""Bring the learned backends' code and weights at pinned revisions; say what is missing. Nothing of theirs is committed."""
