"""The product's behaviour as pure functions: values in, values out.

Nothing here imports kopf, kubernetes, redis or aiohttp, or reads the clock, the environment or the disk (import-linter
holds that line). Whoever wants to know what the operator does in a situation reads this package and its test tables.
"""
