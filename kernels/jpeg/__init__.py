"""jpeg: frames to baseline JPEG files."""
