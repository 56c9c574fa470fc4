"""torchvision's ResNet-18, trained with SGD and with SAM over three seeds."""

import torch
from sklearn.datasets import load_digits
from torch.nn.functional import cross_entropy
from torch.utils.data import TensorDataset
from torchvision.models import resnet18

from analysis.subject import Subject

digits = load_digits()
IMAGES = torch.tensor(digits.images, dtype=torch.float32).unsqueeze(1).repeat(1, 3, 1, 1) / 16
LABELS = torch.tensor(digits.target)


def step(network, optimizer, x, y, rho):
    def backward():
        optimizer.zero_grad()
        cross_entropy(network(x), y).backward()

    backward()
    if rho:  # uphill by rho, the gradient there, and back
        weights = [weight for weight in network.parameters() if weight.grad is not None]
        length = torch.stack([weight.grad.norm() for weight in weights]).norm()
        moves = [rho * weight.grad / length for weight in weights]
        with torch.no_grad():
            torch._foreach_add_(weights, moves)
        backward()
        with torch.no_grad():
            torch._foreach_sub_(weights, moves)
    optimizer.step()


def subjects(seeds=3, epochs=8, images=200):
    train = TensorDataset(IMAGES[:images], LABELS[:images])
    test = TensorDataset(IMAGES[1000:1400], LABELS[1000:1400])
    for method, rho in (("sgd", 0.0), ("sam", 0.05)):
        for seed in range(seeds):
            torch.manual_seed(seed)
            network = resnet18(num_classes=10)
            optimizer = torch.optim.SGD(network.parameters(), 0.02, momentum=0.9)
            for _ in range(epochs):
                for rows in torch.randperm(images).split(50):
                    step(network, optimizer, *train[rows], rho)
            yield Subject(network, train=train, test=test, data="digits", method=method, seed=seed)
