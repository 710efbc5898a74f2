"""Where records are kept: each store passes the same contract suite."""
