"""What a run leaves on disk, without Lightning hooks."""
