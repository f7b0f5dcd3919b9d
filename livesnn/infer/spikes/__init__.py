"""Our kernels for STS-ResNets: one step whose time grows with the number of spikes."""
