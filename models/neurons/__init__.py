"""The spiking neuron: its pulse, its recursion over time, and the implementations that agree."""
