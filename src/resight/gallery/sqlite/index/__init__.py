"""What is searched of an SQLite file: codes that are kept beside it, and the newest rows."""
