"""`make verify`: proves from outside, on the server, that the appliance works. Standard library only.

`check` is what a check is, `site` what is verified, `client` how it is asked, `report` how it is said; every other file
is one kind of check and ends with its `CHECKS`, which `command` puts together.
"""

from modelward_appliance.host.verify.command import add_command

__all__ = ["add_command"]
