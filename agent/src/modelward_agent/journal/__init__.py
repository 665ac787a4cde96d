"""Reading what applications wrote: follow files, parse their lines, quarantine, checkpoint."""
