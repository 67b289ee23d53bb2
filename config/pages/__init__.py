"""Pages that belong to no app: health and the language switch."""
