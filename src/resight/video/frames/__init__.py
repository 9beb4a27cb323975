"""Frames with true times: of files, streams, folders of pictures, or any iterator."""
