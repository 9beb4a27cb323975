"""How a step changes the weights: its arithmetic, the optimizer, the rate, the average."""
