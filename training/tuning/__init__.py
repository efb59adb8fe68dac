"""Search for the settings of members, judged forward in time inside the training period alone."""
