"""align: an affine window of a frame as network input or crop."""
