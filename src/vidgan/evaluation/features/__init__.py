"""Feature networks, the files their weights come from, and the resizing in front of them."""
