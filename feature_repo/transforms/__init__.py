"""Pure functions: events up to t → columns; the same code runs offline over a million anchors and online over one."""
