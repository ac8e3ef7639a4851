"""One small problem in fl_simu and in other frameworks' own algorithms, compared after each round."""
