"""Monthly statements: what is in them (``figures``), how they read (``document``), and their files (``files``)."""
