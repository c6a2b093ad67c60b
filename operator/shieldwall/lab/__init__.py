"""The attack laboratory: a training and its attackers in one process, around the very code that runs in the pods.

Nothing here is imported by what runs in a cluster.
"""
