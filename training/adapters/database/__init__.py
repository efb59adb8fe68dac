"""Reading a database; a package of its own, so that SQLAlchemy is imported only where one is read."""
