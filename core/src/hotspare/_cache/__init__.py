"""Answers that are kept: keys, stores, identical calls at one time, and the flow of a call that looks there first."""
