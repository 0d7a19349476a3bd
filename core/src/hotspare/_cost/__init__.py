"""The cost of calls: prices, budgets and estimates of tokens. Pure."""
