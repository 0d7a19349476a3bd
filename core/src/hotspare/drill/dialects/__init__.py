"""The wire formats which the embedded provider speaks: a second opinion, sharing nothing with `hotspare.providers`."""
