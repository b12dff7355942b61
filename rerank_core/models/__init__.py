"""Models: checkpoints and the engines that run them."""
