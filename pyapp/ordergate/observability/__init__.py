"""What our processes say about themselves."""
