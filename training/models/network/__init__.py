"""What all networks share: inputs, layers, the training loop, export. A member adds its architecture, and no more."""
