"""Detections of one camera to tracks."""
