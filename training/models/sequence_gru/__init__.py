"""A GRU over the sequence: the LSTM with fewer gates."""
