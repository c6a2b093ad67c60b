"""Attacks on privacy, with and without noise: membership inference, gradient inversion, and audits of ε.

What is attacked is what runs in the pods: clients answer by ``runtime.privacy.client``, rounds are the Engine's.
"""
