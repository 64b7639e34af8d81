"""Numbers that say how good samples are: pure functions of rows, streaming classes over them, named protocols."""
