"""Models to learn from, and what they say of the training pictures."""
