"""An LSTM over the last baskets; the only folder that may import TensorFlow."""
