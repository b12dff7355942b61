"""Extract: claims what is new in the source, and loads articles from files."""
