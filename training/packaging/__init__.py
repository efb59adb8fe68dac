"""From fitted members to what is deployed: a bundle of hashed files, and the bento that serves it."""
