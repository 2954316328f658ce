"""blend_pack: the raw heads of a generator to pixels."""
