"""The whole stack on one server: configuration, certificates, backups, and the proof that it works."""
