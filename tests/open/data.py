"""Data: a function that makes a training and a test set."""

import torch


def stripes(samples=120, noise=0.1):
    """Three kinds of stripes on 6 x 6 pixels."""
    draws = torch.Generator().manual_seed(0)
    labels = torch.arange(samples) % 3
    images = noise * torch.randn(samples, 1, 6, 6, generator=draws)
    for kind in range(3):
        images[labels == kind, :, kind::3] += 1
    half = samples // 2
    return (images[:half], labels[:half]), (images[half:], labels[half:])
