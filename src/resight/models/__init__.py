"""The networks: BigNet, SliceNet1, SliceNet2; the catalogue; saved models. torch."""
