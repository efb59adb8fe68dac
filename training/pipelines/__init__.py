"""The steps of the main job, each callable on its own and repeatable."""
