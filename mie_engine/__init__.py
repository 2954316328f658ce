"""mie_engine: make, see and embed micro-expressions."""
__version__ = "0.1.0"
