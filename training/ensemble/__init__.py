"""From several members to one calibrated probability."""
