"""Who answers a prompt: weights on this machine, or an endpoint that speaks OpenAI's protocol."""
