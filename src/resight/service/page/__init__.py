"""The page: what people see and press. It has no more rights than REST, and its own routes in the same table."""
