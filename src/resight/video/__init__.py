"""From video to people across cameras: frames, detections, tracks, tracklets, links. No torch."""
