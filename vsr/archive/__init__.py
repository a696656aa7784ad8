"""A folder of results, any number of times: what is to be done, what was done, and who does it."""
