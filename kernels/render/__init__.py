"""render: the warp renderer."""
