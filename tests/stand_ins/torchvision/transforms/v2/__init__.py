"""torchvision.transforms.v2."""
