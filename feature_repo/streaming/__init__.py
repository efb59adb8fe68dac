"""Events as they happen: a durable outbox, and what keeps the online views at its head."""
