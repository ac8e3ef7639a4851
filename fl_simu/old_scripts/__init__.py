"""Scripts written against PySyft 0.2, run as they are."""
