"""Demo: the public retail panel as customers, and the back-test on its campaigns."""
