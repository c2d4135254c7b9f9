"""The connection to Binance Spot: what speaks to the exchange, and what its answers mean.

`rest` asks, `outcomes` says what an answer proves, `budget` and `clock` keep us within the exchange's limits and time.
"""
