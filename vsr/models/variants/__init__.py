"""One network turned into another: mixed, averaged over poses, in int8."""
