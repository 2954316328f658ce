"""flow: dense sub-pixel motion between two grey frames."""
