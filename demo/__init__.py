"""A real model on a real year: arrival delays of 2013's flights from New York, trained on January."""
