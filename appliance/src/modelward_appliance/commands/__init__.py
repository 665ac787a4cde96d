"""One file for each command of `modelward-appliance`."""
