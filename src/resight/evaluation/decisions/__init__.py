"""Same person or not: verification, open set, calibration."""
