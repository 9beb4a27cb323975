"""Networks made elsewhere: what their files are, how they become bundles, and whether what is declared can be true."""
