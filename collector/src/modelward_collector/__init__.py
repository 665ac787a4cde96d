"""Modelward's collector: scheduled checks on the profiles that agents ship, their API and console."""

__version__ = "0.1.0"
