"""One page a file: a function from the site and what was asked for to a `PageView`."""
