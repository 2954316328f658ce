"""ststnet: the whole recogniser STSTNet on flow maps."""
