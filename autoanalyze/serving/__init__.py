"""An OpenAI wire in this process: the app, requests read back, trouble on purpose, virtual time."""
