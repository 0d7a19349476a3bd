"""Storms: scripted outages of 40 seconds, as data, run in virtual time or on the real wire beside other clients."""
