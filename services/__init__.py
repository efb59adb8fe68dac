"""From a request to a decision: look up what is known of a customer, score it, and answer."""
