"""People: who they are by the site's LDAP directory, what they may do, their sessions, and what is written down."""
