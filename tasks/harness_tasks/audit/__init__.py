"""Looking for the series of tasks inside a training corpus, by what they hold and not by what they are called."""
