"""Commands about models: list them, show one."""
