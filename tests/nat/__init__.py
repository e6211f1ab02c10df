"""Tests of the ways round routers."""
