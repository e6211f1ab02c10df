"""Whole hosts on a disk that loses what is not synchronised: each crash there can be, one by one."""
