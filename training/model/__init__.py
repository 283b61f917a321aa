"""The network, its training loop, its ONNX graph and the files of a model folder."""
