"""See: frames to labelled micro-expression events, one file per step."""
