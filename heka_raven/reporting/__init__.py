"""One report's way: from an exception or a message to the stream that takes the event."""
