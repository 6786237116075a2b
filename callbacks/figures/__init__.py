"""Pictures of what a model makes of images that it was not trained on, one file a task."""
