"""Processes that train and sample for a run, wherever they are: on this machine, or on the nodes of a Ray cluster.

    home (local | ray) | places, one process each | crew: ranks that train   pool: engines that draw

A home only starts processes and tells that they are gone. What they are asked is the same everywhere: each call is
short, and what does not answer within its limit is lost.
"""
