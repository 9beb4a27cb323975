"""Who may do what: roles, keys, sessions of the page, and how often."""
