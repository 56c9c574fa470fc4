"""A transformer that tells which of two tokens comes more often; batches are mappings, as Hugging Face's."""

import torch
from torch import nn

from analysis.subject import Subject


class Classifier(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding, self.head = nn.Embedding(8, 16), nn.Linear(16, 2)
        self.encoder = nn.TransformerEncoderLayer(16, 2, 32, dropout=0.1, batch_first=True)

    def forward(self, input_ids, attention_mask):
        hidden = self.encoder(self.embedding(input_ids), src_key_padding_mask=attention_mask == 0)
        return self.head((hidden * attention_mask[:, :, None]).sum(1) / attention_mask.sum(1, keepdim=True))


def batches(number, seed):
    generator = torch.Generator().manual_seed(seed)
    for _ in range(number):
        ids = torch.randint(8, (32, 12), generator=generator)
        mask = (torch.arange(12) < torch.randint(4, 13, (32, 1), generator=generator)).long()
        more = ((ids == 1) * mask).sum(1) > ((ids == 2) * mask).sum(1)
        yield {"input_ids": ids, "attention_mask": mask, "labels": more.long()}


def subjects(seeds=2, epochs=15):
    train, test = list(batches(6, 0)), list(batches(6, 1))
    for method, rate in (("slow", 1e-3), ("fast", 1e-2)):
        for seed in range(seeds):
            torch.manual_seed(seed)
            network = Classifier()
            optimizer = torch.optim.AdamW(network.parameters(), rate)
            for _ in range(epochs):
                for batch in train:
                    inputs = {name: value for name, value in batch.items() if name != "labels"}
                    optimizer.zero_grad()
                    nn.functional.cross_entropy(network(**inputs), batch["labels"]).backward()
                    optimizer.step()
            yield Subject(network, train=train, test=test, data="tokens", method=method, seed=seed)
