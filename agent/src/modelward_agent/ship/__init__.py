"""Delivering: documents from records, the `_bulk` client, and the profiles that wait to be sent."""
