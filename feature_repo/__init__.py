"""What is known about users, items and the context, and when it was known (`feast apply` runs here)."""
