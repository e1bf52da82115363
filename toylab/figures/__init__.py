"""What it looks like: functions from a result to a matplotlib `Figure`, and the book of figures."""
