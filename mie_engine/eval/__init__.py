"""Honest numbers: readers of the corpora, protocols, metrics, leak audit, report."""
