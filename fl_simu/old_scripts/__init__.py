"""Run scripts written against PySyft 0.2 unchanged."""
