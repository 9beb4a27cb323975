"""The drawn city, moving: one town that several cameras film, with the whole truth. No real person is in it."""
