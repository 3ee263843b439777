"""The networks. B batch, C channels, T frames, D longest proposal in frames, N samples per proposal."""
