"""Cameras that speak ONVIF: found in a network, and asked where their streams are."""
