"""One look for all pictures: sizes and colours, bands over seeds, contours."""
