"""What people do to a gallery's people: list them, look at them, and correct who is who."""
