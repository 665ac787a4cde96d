"""Encrypted backups of the whole appliance, and their restore.

`container` is the file's format, `archive` what lies in it, `parts` one file for each thing that is backed up, `take`
and `restore` the two directions, `service` the daily run.
"""
