"""What was trained, in use: a service, a chat page and a terminal over the open engine."""
