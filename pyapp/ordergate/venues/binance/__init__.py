"""The LIVE venue: what speaks to Binance Spot, and what makes its word ours."""
