"""What travels over the API: requests that are checked, answers that are shaped. The OpenAPI document is theirs."""
