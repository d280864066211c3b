"""Dated policies: prices, decision rules, scorecard."""
