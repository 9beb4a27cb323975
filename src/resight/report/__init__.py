"""Pages to look at: self-contained HTML, nothing fetched from outside. No torch."""
