"""Training on one site's pictures without identities: rounds of clustering, and of learning the clusters."""
