"""What Hydra finds by itself: how sweeps are laid out, and where their points are worked on."""
