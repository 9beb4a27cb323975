"""What each step of a training sees: pictures, samplers, augmentation, views."""
