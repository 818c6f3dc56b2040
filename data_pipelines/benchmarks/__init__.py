"""Public test sets, read from their official files in a local folder; nothing is downloaded."""
