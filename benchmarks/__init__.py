"""Measurements of toylab beside a PyTorch baseline: same work, same scorer, one run."""
