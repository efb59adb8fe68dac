"""Does what was served equal what training would have seen: the served log, replayed through the offline join."""
