"""How right tracks and links are: IDF1, HOTA, and what a user feels."""
