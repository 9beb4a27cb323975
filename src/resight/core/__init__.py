"""What every room shares: errors, records, distances, image decoding. numpy and Pillow only."""
